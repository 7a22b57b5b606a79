"""Measure requests on a cluster: our router and replica beside KServe's and MLServer's model servers.

Run with ``make benchmark-kubernetes-path``. All systems run at the same time as one pod each, with the same model. The
loads are interleaved, and the table has medians. The peers, and our scoring server without the router, are reached
through a plain Service; our endpoint through the router, with key authentication. All ports are node ports, so this
machine must reach the nodes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.client import Figures
from benchmarks.serving import load as loads
from benchmarks.serving.exchange import Exchange, Form
from benchmarks.serving.peer import SHARED_REQUIREMENTS, Peer, Site
from benchmarks.serving.peers import PEERS
from benchmarks.serving.scripts import EXCHANGES
from benchmarks.serving.server import Server
from benchmarks.serving.workloads import MODEL_FILE, SERVED, WORKLOADS
from mljupyter.core import (
    AksEndpoint,
    CondaDependencies,
    Environment,
    InferenceConfig,
    Model,
    Workspace,
)
from mljupyter.core.compute import ComputeTarget, KubernetesCompute
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.security import USER, container_security, pod_security

OURS, PLAIN = "mljupyter, router with keys", "mljupyter's server, plain Service"
CONNECTIONS = (1, 8, 64)
_PEERS = ("kserve", "mlserver")
_TARGET, _ENDPOINT = "cluster", "benchmark"
_PYTHON = Path("/opt/peer/bin/python")
_PORT = 8080
_DOCKERFILE = """
FROM {base}
RUN python3 -m venv /opt/peer && /opt/peer/bin/pip install --quiet --no-cache-dir {requirements}
COPY served {served}
COPY site {directory}
RUN chmod -R a+rX {served} {directory}
"""


@dataclass(frozen=True)
class System:
    """A system that runs on the cluster: how it is asked, and the node port that leads to it."""

    title: str
    server: Server


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", default=_variable("KUBECONFIG"), help="the cluster")
    parser.add_argument("--base-image", default=_variable("BASE_IMAGE"), help="an image with Python 3.11 and pip")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of the measurements")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each load")
    parser.add_argument("--json", type=Path, help="write the medians to this file, too")
    arguments = parser.parse_args()
    if not (arguments.kubeconfig and arguments.base_image):
        parser.error("name a cluster and an image: --kubeconfig FILE --base-image NAME")
    os.environ["MLJUPYTER_BASE_IMAGE"] = arguments.base_image
    with tempfile.TemporaryDirectory(prefix="mlj-", dir="/tmp") as directory:
        os.environ["MLJUPYTER_HOME"] = directory
        measured = measure(Path(directory), arguments.kubeconfig, arguments.rounds, arguments.seconds)
    found = medians(measured)
    print(table(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


def _variable(name: str) -> str | None:
    return os.environ.get(f"MLJUPYTER_TEST_{name}") or os.environ.get(f"TESTBED_{name}")


def measure(directory: Path, kubeconfig: str, rounds: int, seconds: float) -> dict[tuple[str, int], list[Figures]]:
    """Return the figures of all loads, by system and number of connections."""
    workload = WORKLOADS["sklearn"]
    measured: dict[tuple[str, int], list[Figures]] = {}
    with running(directory, kubeconfig) as systems:
        for system in systems:
            print(f"{system.title}: first right answer", flush=True)
            system.server.wait(workload)
        for number in range(rounds):
            for connections in CONNECTIONS:
                turn = number % len(systems)
                for system in [*systems[turn:], *systems[:turn]]:
                    server = system.server
                    loads.load(server.url, server.request, connections, 1.0, directory)  # warms up
                    figures = loads.load(server.url, server.request, connections, seconds, directory)
                    wrong = server.check(workload)
                    assert wrong is None, (system.title, wrong)
                    assert system.title != OURS or not figures.failed, figures  # others may refuse what is too much
                    measured.setdefault((system.title, connections), []).append(figures)
            print(f"round {number + 1} of {rounds}, load average {os.getloadavg()[0]:.0f}", flush=True)
    return measured


def medians(measured: dict[tuple[str, int], list[Figures]]) -> list[dict[str, Any]]:
    """Return the medians over the rounds."""
    return [
        {
            "system": title,
            "connections": connections,
            "per_second": statistics.median(one.per_second for one in figures),
            "p50_ms": statistics.median(one.p50 for one in figures) * 1000,
            "p99_ms": statistics.median(one.p99 for one in figures) * 1000,
            "p50_ms_of_rounds": [round(one.p50 * 1000, 3) for one in figures],
            "failed": sum(one.failed for one in figures),
        }
        for (title, connections), figures in measured.items()
    ]


def table(found: list[dict[str, Any]]) -> str:
    """Return the table, and the share of the router."""
    lines = ["| system | connections | requests/s | p50 | p99 | not answered |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {one['system']} | {one['connections']} | {one['per_second']:,.0f} | {one['p50_ms']:.2f} ms "
        f"| {one['p99_ms']:.2f} ms | {one['failed']} |"
        for one in sorted(found, key=lambda item: (item["connections"], item["system"]))
    ]
    p50 = {one["system"]: one["p50_ms_of_rounds"] for one in found if one["connections"] == 1}
    added = sorted(ours - plain for ours, plain in zip(p50[OURS], p50[PLAIN], strict=True))
    lines.append(
        f"\nThe router adds {statistics.median(added):.2f} ms to the p50 of one connection, in the median of "
        f"the rounds; {added[0]:.2f} to {added[-1]:.2f} ms in each."
    )
    return "\n".join(lines)


@contextlib.contextmanager
def running(directory: Path, kubeconfig: str) -> Iterator[list[System]]:
    """Attach a cluster, run all systems there, and remove everything in the end."""
    workspace = Workspace.create("path", path=directory / "workspace")
    configuration = KubernetesCompute.attach_configuration(
        kubeconfig=kubeconfig,
        namespace=f"mljupyter-benchmark-{secrets.token_hex(3)}",
        cluster_purpose="DevTest",
        service_type="NodePort",
    )
    target = ComputeTarget.attach(workspace, _TARGET, configuration)
    try:
        target.wait_for_completion(show_output=True)
        client: Any = workspace.context.target(_TARGET).endpoints()
        pods = Pods(client.cluster, str(client.attached.namespace))
        ours = deployed(workspace, directory)
        address = ours.url.rpartition(":")[0]
        systems = [System(OURS, ours)]
        plain = pods.of_endpoint()
        cpu = plain["containers"][0]["resources"]["requests"]["cpu"]
        systems.append(System(PLAIN, pods.server(address, "plain", "/score", EXCHANGES[Form.ROWS], plain)))
        for peer in (peer for peer in PEERS if peer.name in _PEERS):
            pod = peer_pod(peer, directory)
            # The same share of a busy processor for all replicas. Peers need more memory.
            pod["containers"][0]["resources"] = {"requests": {"cpu": cpu}}
            exchange = peer.exchanges[Form.ROWS]
            assert isinstance(exchange, Exchange)
            systems.append(System(peer.title, pods.server(address, peer.name, peer.route, exchange, pod)))
        yield systems
    finally:
        for record in workspace.context.target(_TARGET).endpoints().endpoints():
            workspace.endpoints.delete(record.spec.name)
        target.detach()


def deployed(workspace: Workspace, directory: Path) -> Server:
    """Deploy the model with one replica, and return how the endpoint is asked."""
    workload = WORKLOADS["sklearn"]
    model = Model.register(workspace, str(workload.save(directory)), "model")
    environment = Environment("benchmark")
    environment.python.conda_dependencies = CondaDependencies.create(pip_packages=list(SHARED_REQUIREMENTS))
    inference = InferenceConfig("score.py", source_directory=str(SERVED), environment=environment)
    config = AksEndpoint.deploy_configuration(
        version_name="one", num_replicas=1, cpu_cores=0.1, memory_gb=0.3, max_request_wait_time=60_000
    )
    began = time.perf_counter()
    service = Model.deploy(workspace, _ENDPOINT, [model], inference, config, ComputeTarget(workspace, _TARGET))
    service.wait_for_deployment(show_output=True)
    return Server(
        url=str(service.scoring_uri),
        request=EXCHANGES[workload.form].request(workload.data, service.get_keys()[0]),
        read=EXCHANGES[workload.form].decode,
        began=began,
        processes=list,
        ended=lambda: None,
    )


class Pods:
    """Pods of the benchmark itself, beside the endpoint in its namespace."""

    def __init__(self, api: Any, namespace: str) -> None:
        self._api = api
        self._namespace = namespace

    def of_endpoint(self) -> dict[str, Any]:
        """Return the pod of our endpoint as a plain pod: without the key of replicas and the gate of the operator."""
        (found,) = self._api.items(
            f"/apis/apps/v1/namespaces/{self._namespace}/deployments", labels=names.selector(endpoint=_ENDPOINT)
        )
        pod: dict[str, Any] = json.loads(json.dumps(found["spec"]["template"]["spec"]))
        del pod["readinessGates"], pod["topologySpreadConstraints"], pod["serviceAccountName"]
        (container,) = pod["containers"]
        container["env"] = [one for one in container["env"] if "secretKeyRef" not in one.get("valueFrom", {})]
        container["ports"] = [{"containerPort": names.REPLICA_PORT}]
        return pod

    def server(
        self,
        address: str,
        name: str,
        route: str,
        exchange: Exchange,
        pod: dict[str, Any],
    ) -> Server:
        """Run a pod behind a Service with a node port, and return how it is asked."""
        labels = {"benchmark": name}
        metadata = {"name": f"benchmark-{name}", "namespace": self._namespace, "labels": labels}
        began = time.perf_counter()
        self._api.call(
            "POST",
            f"/apis/apps/v1/namespaces/{self._namespace}/deployments",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": metadata,
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": pod},
                },
            },
        )
        port = pod["containers"][0]["ports"][0]["containerPort"]
        service = self._api.call(
            "POST",
            f"/api/v1/namespaces/{self._namespace}/services",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": port}]},
            },
        )
        return Server(
            url=f"{address}:{service['spec']['ports'][0]['nodePort']}{route}",
            request=exchange.request(WORKLOADS["sklearn"].data),
            read=exchange.decode,
            began=began,
            processes=list,
            ended=lambda: None,
        )


def peer_pod(peer: Peer, directory: Path) -> dict[str, Any]:
    """Build the image of a peer with the model in it, and return the pod that runs it."""
    import docker

    context = directory / f"image-{peer.name}"
    inside = Path("/opt/site")
    # The peer writes its files for one directory, which is the same here and in the container.
    site = Site(_PYTHON, context / "site", inside / MODEL_FILE, _PORT, batching=False, form=Form.ROWS, host="0.0.0.0")
    site.directory.mkdir(parents=True)
    WORKLOADS["sklearn"].save(site.directory)
    command = [part.replace(str(site.directory), str(inside)) for part in peer.command(site)]
    shutil.copytree(SERVED, context / "served", ignore=shutil.ignore_patterns("__pycache__"))
    command = [part.replace(str(SERVED), "/opt/served") for part in command]
    requirements = " ".join((*peer.requirements, *SHARED_REQUIREMENTS))
    (context / "Dockerfile").write_text(
        _DOCKERFILE.format(
            base=os.environ["MLJUPYTER_BASE_IMAGE"], requirements=requirements, served="/opt/served", directory=inside
        )
    )
    image, _ = docker.from_env().images.build(path=str(context), tag=f"mljupyter-benchmark:{peer.name}", rm=True)
    variables = site.environment(peer.variables) | {
        "HOME": "/tmp",
        "TMPDIR": "/tmp",
        "PATH": f"{_PYTHON.parent}:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": "/opt/served",
        "BENCHMARK_MODEL": str(site.model),
    }
    variables.pop("SSL_CERT_FILE", None)
    return {
        "securityContext": pod_security(None),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [
            {
                "name": "server",
                "image": image.tags[0],
                "imagePullPolicy": "IfNotPresent",
                "command": command,
                "workingDir": "/tmp",  # MLServer writes files there
                "env": [{"name": key, "value": value} for key, value in variables.items()],
                "ports": [{"containerPort": _PORT}],
                "securityContext": container_security(USER),
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }


if __name__ == "__main__":
    main()
