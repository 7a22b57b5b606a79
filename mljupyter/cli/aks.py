"""The commands of ``mljupyter computetarget`` that Azure ML's command line has: ``create aks -n NAME`` and so on."""

from __future__ import annotations

from typing import Any

import click

from mljupyter.cli import flags
from mljupyter.cli.flags import OldCommand, given, v1_options
from mljupyter.cli.options import open_workspace
from mljupyter.cli.output import print_document, print_fields, progress_on_stderr, say
from mljupyter.core import ComputeTarget
from mljupyter.core.compute import AksCompute, AksUpdateConfiguration, KubernetesCompute
from mljupyter.core.compute.cluster import ClusterCompute
from mljupyter.core.router import SslConfiguration
from mljupyter.exceptions import ComputeTargetException

_RESOURCE_ID = flags.flag(
    "-i", "--compute-resource-id", "resource_id", metavar="ID", required=True, help="Resource ID of the cluster."
)
_BALANCER = (
    flags.flag("--load-balancer-type", metavar="TYPE", help="PublicIp, the default, or InternalLoadBalancer."),
    flags.flag("--load-balancer-subnet", metavar="NAME", help="Subnet of an internal load balancer."),
)
_SSL = (
    flags.flag("--ssl-cname", metavar="HOST", help="TLS with a certificate of your own for this host."),
    flags.flag("--ssl-cert-file", metavar="FILE", help="Its chain, PEM."),
    flags.flag("--ssl-key-file", metavar="FILE", help="Its key, PEM."),
    flags.flag("--ssl-leaf-domain-label", metavar="LABEL", help="TLS with a certificate that is made for it."),
    flags.flag("--ssl-overwrite-domain", help="Replace the domain of an earlier label.", **flags.SWITCH),
)
_SSL_ARGUMENTS = {
    "ssl_cname": "ssl_cname",
    "ssl_cert_file": "ssl_cert_pem_file",
    "ssl_key_file": "ssl_key_pem_file",
    "ssl_leaf_domain_label": "leaf_domain_label",
    "ssl_overwrite_domain": "overwrite_existing_domain",
}
"""The options for TLS, and the parameters of `enable_ssl`."""

_PURPOSE = flags.flag("--cluster-purpose", metavar="PURPOSE", help="FastProd, the default, or DevTest.")


@click.command("create aks", cls=OldCommand, hidden=True)
@v1_options(
    flags.NAME,
    flags.flag("-a", "--agent-count", type=int, metavar="NUMBER", help="Nodes. Default: 3, or 1 for DevTest."),
    flags.flag("-s", "--vm-size", metavar="SIZE", help="Size of the nodes. Default: Standard_D3_v2 (4 vCPU)."),
    _PURPOSE,
    flags.flag("-l", "--location", metavar="REGION", help="Default: that of the workspace."),
    *_BALANCER,
    *_SSL,
    flags.flag("--vnet-resourcegroup-name", metavar="NAME", help="With the other options of the network."),
    flags.flag("--vnet-name", metavar="NAME", help="Virtual network."),
    flags.flag("--subnet-name", metavar="NAME", help="Subnet of the nodes."),
    flags.flag("--service-cidr", metavar="CIDR", help="Addresses of services."),
    flags.flag("--dns-service-ip", metavar="IP", help="Address of the cluster's DNS."),
    flags.flag("--docker-bridge-cidr", metavar="CIDR", help="Azure no longer uses it."),
    *flags.NO_WAIT,
)
def create_aks(name: str, workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Create a cluster of Azure Kubernetes Service, and attach it as NAME."""
    found = open_workspace(workspace)
    with progress_on_stderr():
        ssl = _renamed_ssl(values)
        configuration = AksCompute.provisioning_configuration(
            **{key: value for key, value in given(values).items() if key not in _SSL_ARGUMENTS}
        )
        if ssl:
            configuration.enable_ssl(**ssl)
        target = ComputeTarget.create(found, name, configuration)
    _finish(target, as_json=as_json, wait=not no_wait)


@click.command("attach aks", cls=OldCommand, hidden=True)
@v1_options(flags.NAME, _RESOURCE_ID, _PURPOSE, *_BALANCER, *flags.NO_WAIT)
def attach_aks(name: str, workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Attach a cluster as NAME by the resource ID that `az aks show --query id` prints."""
    from mljupyter.cli.az.clusters import local_context  # with the search for the cluster's context

    found = open_workspace(workspace)
    context = local_context(found, values["resource_id"])
    with progress_on_stderr():
        arguments = given(values)
        if context is not None:
            arguments = {key: value for key, value in arguments.items() if key != "resource_id"}
            arguments |= {"context": context, "service_type": "ClusterIP"}
        configuration = AksCompute.attach_configuration(**arguments)
        target = ComputeTarget.attach(found, name, configuration)
    _finish(target, as_json=as_json, wait=not no_wait)


@click.command("attach kubernetes", cls=OldCommand, hidden=True)
@v1_options(
    flags.NAME,
    _RESOURCE_ID,
    flags.flag("--namespace", metavar="NAME", help="Namespace for operator, routers and endpoints."),
    *flags.NO_WAIT,
)
def attach_kubernetes(name: str, workspace: str | None, as_json: bool, no_wait: bool, **values: Any) -> None:
    """Attach a cluster as NAME by its resource ID."""
    from mljupyter.cli.az.clusters import local_context  # with the search for the cluster's context

    found = open_workspace(workspace)
    context = local_context(found, values["resource_id"])
    with progress_on_stderr():
        place = {"context": context} if context is not None else {"resource_id": values["resource_id"]}
        configuration = KubernetesCompute.attach_configuration(**given({**place, "namespace": values["namespace"]}))
        target = ComputeTarget.attach(found, name, configuration)
    _finish(target, as_json=as_json, wait=not no_wait)


@click.command("update aks", cls=OldCommand, hidden=True)
@v1_options(
    flags.NAME,
    flags.flag("--ssl-disable", help="Turn TLS off.", **flags.SWITCH),
    flags.flag("--ssl-renew", help="Make the certificate of a label again.", **flags.SWITCH),
    *_SSL,
    *_BALANCER,
)
def update_aks(name: str, workspace: str | None, as_json: bool, **values: Any) -> None:
    """Change TLS or the load balancer of an attached cluster."""
    target = ComputeTarget(open_workspace(workspace), name)
    if not isinstance(target, ClusterCompute):
        raise ComputeTargetException(f"compute target {name!r} is of type {target.type}: it is no cluster.")
    with progress_on_stderr():
        target.update(
            AksUpdateConfiguration(
                _ssl_configuration(values), values["load_balancer_type"], values["load_balancer_subnet"]
            )
        )
    _finish(target, as_json=as_json, wait=True)


@click.command("get-credentials", cls=OldCommand, short_help="Print the kubeconfig of a cluster.")
@v1_options(flags.NAME)
def get_credentials(name: str, workspace: str | None, as_json: bool) -> None:
    """Print the kubeconfig of an attached cluster. It holds secrets."""
    target = ComputeTarget(open_workspace(workspace), name)
    if not isinstance(target, ClusterCompute):
        raise ComputeTargetException(f"compute target {name!r} is of type {target.type}: it has no kubeconfig.")
    credentials = target.get_credentials()
    if as_json:
        print_document(credentials)
    else:
        say(credentials["userKubeConfig"], nl=False)


PAIRED = (create_aks, attach_aks, attach_kubernetes, update_aks)
"""The commands whose names are two words."""


def _ssl_configuration(values: dict[str, Any]) -> SslConfiguration | None:
    ssl = _renamed_ssl(values)
    label = ssl.pop("leaf_domain_label", None)
    if values["ssl_disable"]:
        if ssl or label or values["ssl_renew"]:
            raise click.UsageError("--ssl-disable cannot be combined with the other options for TLS.")
        return SslConfiguration("Disabled")
    if not (ssl or label or values["ssl_renew"]):
        return None
    return SslConfiguration(
        "Auto" if label or values["ssl_renew"] else "Enabled",
        cert=ssl.get("ssl_cert_pem_file"),
        key=ssl.get("ssl_key_pem_file"),
        cname=ssl.get("ssl_cname"),
        leaf_domain_label=label,
        overwrite_existing_domain=bool(ssl.get("overwrite_existing_domain")),
        renew=bool(values["ssl_renew"]),
    )


def _renamed_ssl(values: dict[str, Any]) -> dict[str, Any]:
    return {_SSL_ARGUMENTS[key]: value for key, value in given(values, *_SSL_ARGUMENTS).items()}


def _finish(target: ComputeTarget, *, as_json: bool, wait: bool) -> None:
    if wait:
        with progress_on_stderr():
            target.wait_for_completion(show_output=True)
    document = target.serialize()
    if as_json:
        print_document(document)
    else:
        print_fields([(key, str(value)) for key, value in document.items() if value is not None])
