"""The command ``python -m mljupyter.kubernetes.manifests``: print an installation as YAML, or write ``deploy/``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mljupyter import __version__
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.chart import chart_files
from mljupyter.kubernetes.objects.installation import Installation, Purpose, Reader, ServiceType, installation
from mljupyter.kubernetes.objects.publishing import Publishing, rule_broken
from mljupyter.kubernetes.objects.yaml import to_yaml
from mljupyter.spec import ReplicaDefaults

IMAGE = f"mljupyter/control-plane:{__version__}"
_PLAIN = "kubernetes/mljupyter.yaml"
_CHART = "helm/mljupyter"
_HEADER = f"""\
# mljupyter on a cluster, for development and tests. docs/kubernetes-administration.md explains it.
# Generated: python -m mljupyter.kubernetes.manifests --write deploy
#
# The pods start when their access Secret is there:
#
#   kubectl create secret generic {names.ACCESS_SECRET} --namespace {names.DEFAULT_NAMESPACE} \\
#     --from-literal={names.API_KEY}=$(openssl rand -hex 32) --from-literal={names.INTERNAL_KEY}=$(openssl rand -hex 32)
"""


def deploy_files() -> dict[str, str]:
    """Return the files of the directory ``deploy/`` by their paths in it."""
    plain = Installation(image=IMAGE, target="cluster", workspace="default", purpose=Purpose.DEV_TEST)
    chart = chart_files(__version__, IMAGE)
    return {
        _PLAIN: _HEADER + to_yaml(installation(plain)),
        **{f"{_CHART}/{name}": text for name, text in chart.items()},
    }


def main(arguments: list[str] | None = None) -> int:
    """Print an installation as YAML, or write all files of ``deploy/``; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mljupyter.kubernetes.manifests", description=__doc__)
    parser.add_argument("--image", default=IMAGE, help="image of operator and router (%(default)s)")
    parser.add_argument("--namespace", default=names.DEFAULT_NAMESPACE, help="%(default)s")
    parser.add_argument("--target", default="cluster", help="name of the compute target (%(default)s)")
    parser.add_argument("--workspace", default="default", help="name of the workspace (%(default)s)")
    parser.add_argument("--purpose", choices=[item.value for item in Purpose], default=Purpose.FAST_PROD.value)
    parser.add_argument("--service", choices=[item.value for item in ServiceType], default=ServiceType.CLUSTER_IP.value)
    parser.add_argument("--internal", action="store_true", help="an internal load balancer")
    parser.add_argument("--ingress-class", help="of the Ingress")
    parser.add_argument("--scoring-host", help="host of scoring URIs, for Ingress and HTTPRoute")
    parser.add_argument("--scoring-path", default="/", help="beginning of their paths (%(default)s)")
    parser.add_argument("--tls-secret", help="Secret with the certificate of the host, for Ingress")
    parser.add_argument("--gateway", metavar="NAMESPACE/NAME", help="Gateway of the HTTPRoute")
    parser.add_argument("--gateway-section", help="listener of the Gateway")
    parser.add_argument("--collected-data-claim", metavar="NAME", help="PersistentVolumeClaim for collected data")
    parser.add_argument("--policy", default="policy/v1", help="policy/v1beta1 before Kubernetes 1.21 (%(default)s)")
    parser.add_argument(
        "--endpoint-namespace",
        action="append",
        default=[],
        metavar="NAMESPACE",
        help="another namespace that endpoints may run in; repeatable",
    )
    parser.add_argument("--write", type=Path, metavar="DIRECTORY", help="write the files of deploy/ there instead")
    options = parser.parse_args(arguments)
    if options.write is not None:
        for name, text in deploy_files().items():
            path: Path = options.write / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    publishing = Publishing.of(vars(options))
    if (broken := rule_broken(publishing, options.service)) is not None:
        parser.error(broken)
    try:
        replicas = ReplicaDefaults(collected_data_claim=options.collected_data_claim)
    except ValueError:
        parser.error(f"--collected-data-claim is {options.collected_data_claim!r}: this cannot name a claim.")
    wanted = Installation(
        image=options.image,
        target=options.target,
        workspace=options.workspace,
        namespace=options.namespace,
        purpose=Purpose(options.purpose),
        service=ServiceType(options.service),
        internal=options.internal,
        publishing=publishing,
        policy=options.policy,
        endpoint_namespaces=tuple(options.endpoint_namespace),
        replicas=replicas.json_text() if options.collected_data_claim is not None else "{}",
        reader=Reader.of(replicas),
    )
    sys.stdout.write(to_yaml(installation(wanted)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
