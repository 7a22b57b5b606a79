"""``mljupyter computetarget``: the commands for compute targets, above all for Kubernetes clusters."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from inspect import signature
from typing import Any, TypeVar

import click

from mljupyter.cli import aks
from mljupyter.cli.flags import PairedGroup
from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, print_fields, print_table, say
from mljupyter.core import ComputeTarget, Workspace
from mljupyter.core.compute import AksCompute, KubernetesCompute, cluster
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Purpose, ServiceType
from mljupyter.spec.placement import labels_of
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes.attachment import ClusterSettings, annotations_of, publishing_of, replica_defaults
from mljupyter.targets.kubernetes.created import created_cluster
from mljupyter.targets.kubernetes.providers import TOOLS, AksProvider, CommandProvider
from mljupyter.targets.kubernetes.providers.azure import ClusterId

Command = TypeVar("Command", bound=Callable[..., Any])
_COLUMNS = ("NAME", "TYPE", "PROVIDER", "STATE", "ABOUT")
_SSL_OPTIONS = {
    "ssl_leaf_domain_label": "leaf_domain_label",
    "ssl_cname": "ssl_cname",
    "ssl_cert_file": "ssl_cert_pem_file",
    "ssl_key_file": "ssl_key_pem_file",
}
"""The options for TLS, and the parameters of `AksProvisioningConfiguration.enable_ssl`."""

_PUBLISHING_OPTIONS = ("ingress_class", "scoring_host", "scoring_path", "tls_secret", "gateway", "gateway_section")
_FINDING_COLUMNS = ("CHECK", "STATE", "FINDING")


@click.group(cls=PairedGroup)
def computetarget() -> None:
    """Create, attach, check, list, detach and delete compute targets: Kubernetes clusters.

    As in Azure ML: create aks, attach aks, attach kubernetes, update aks, each with -n NAME.
    """


for _command in (*aks.PAIRED, aks.get_credentials):
    computetarget.add_command(_command)


def _cluster_options(command: Command) -> Command:
    """Add the options that say which cluster, and how it is used."""
    for option in reversed(
        (
            click.option("--kubeconfig", metavar="FILE", help="Default: $KUBECONFIG, then ~/.kube/config."),
            click.option("--context", metavar="NAME", help="Context of the kubeconfig. Default: its current one."),
            click.option(
                "--namespace",
                default=names.DEFAULT_NAMESPACE,
                show_default=True,
                help="Namespace for operator, routers and endpoints; it is created.",
            ),
            click.option(
                "--purpose",
                type=click.Choice([str(one) for one in Purpose]),
                default=Purpose.FAST_PROD.value,
                show_default=True,
                help="FastProd needs 12 vCPU and runs several routers, DevTest runs one.",
            ),
            click.option(
                "--service-type",
                type=click.Choice([str(one) for one in ServiceType]),
                default=ServiceType.CLUSTER_IP.value,
                show_default=True,
                help="How clients reach the routers.",
            ),
            click.option("--internal", is_flag=True, help="The load balancer is reached only from the own network."),
            click.option("--subnet", metavar="NAME", help="Subnet of an internal load balancer (Azure)."),
            click.option("--ingress-class", metavar="NAME", help="IngressClass. Default: that of the cluster."),
            click.option("--scoring-host", metavar="HOST", help="Host of scoring URIs, for Ingress and HTTPRoute."),
            click.option("--scoring-path", metavar="PATH", help="Beginning of their paths, such as /ml."),
            click.option("--tls-secret", metavar="NAME", help="Secret with the certificate of the host, for Ingress."),
            click.option(
                "--annotation",
                "annotations",
                metavar="NAME=VALUE",
                multiple=True,
                help="Annotation of the Ingress or the HTTPRoute. Repeatable.",
            ),
            click.option("--gateway", metavar="[NAMESPACE/]NAME", help="Gateway of the HTTPRoute."),
            click.option("--gateway-section", metavar="NAME", help="Listener of the Gateway."),
            click.option("--image", metavar="IMAGE", help="Image of operator and routers; by default it is built."),
            click.option(
                "--gpu-resource",
                metavar="RESOURCE",
                help="Resource that counts the accelerators of replicas. Default: nvidia.com/gpu.",
            ),
            click.option(
                "--node-selector",
                "labels",
                metavar="LABEL=VALUE",
                multiple=True,
                help="Label that a node must have to run replicas. Repeatable.",
            ),
            click.option(
                "--toleration",
                "taints",
                metavar="KEY[=VALUE][:EFFECT]",
                multiple=True,
                help="Taint of nodes that replicas tolerate. Repeatable.",
            ),
            click.option("--runtime-class", metavar="NAME", help="RuntimeClass of replicas."),
            click.option(
                "--endpoint-namespace",
                "endpoint_namespaces",
                metavar="NAMESPACE",
                multiple=True,
                help="Other namespace that endpoints may run in; it must exist. Repeatable.",
            ),
            click.option(
                "--collected-data-claim",
                metavar="NAME",
                help="PersistentVolumeClaim for the data that scripts collect. Default: it ends with its pod.",
            ),
        )
    ):
        command = option(command)
    return command


def _settings(
    labels: Sequence[str],
    taints: Sequence[str],
    gpu_resource: str | None,
    runtime_class: str | None,
    collected_data_claim: str | None,
    annotations: Sequence[str],
    **given: Any,
) -> ClusterSettings:
    """Return the settings that the options give."""
    replicas = replica_defaults(gpu_resource, labels_of(labels), taints, runtime_class, collected_data_claim)
    of_publishing = {name: given.pop(name) for name in _PUBLISHING_OPTIONS}
    publishing = publishing_of(annotations=annotations_of(annotations), **of_publishing)
    return ClusterSettings(**given, replicas=replicas, publishing=publishing)


@computetarget.command(short_help="Attach a Kubernetes cluster under a name.")
@click.argument("name")
@_cluster_options
@click.option("--force", is_flag=True, help="Take over the installation of another workspace, with its endpoints.")
@click.option("--dry-run", is_flag=True, help="Print the objects that would be applied, as YAML; apply nothing.")
@click.option("--resource-id", metavar="ID", help="Of a cluster in Azure, whose kubeconfig Azure gives.")
@workspace_option
def attach(name: str, force: bool, dry_run: bool, resource_id: str | None, workspace: str | None, **given: Any) -> None:
    """Check a cluster, install operator and routers in it, and make it a compute target of the workspace.

    Attaching again repairs it, upgrades it to this release, or changes its settings. A cluster that was created as
    NAME needs no kubeconfig.
    """
    found, settings = open_workspace(workspace), _settings(**given)
    if dry_run:
        say(cluster.manifests_text(found, name, settings))
        return
    if resource_id is not None:
        place = ClusterId.of(resource_id)
        settings = replace(settings, type="AKS")
        cluster.ClusterAttachConfiguration(settings, lambda _: place).attach(found, name, force=force)
    else:
        cluster.begin(found, name, settings, force=force)
    _follow(cluster.ClusterCompute(found, name))


@computetarget.command(short_help="Create a Kubernetes cluster and attach it.")
@click.argument("name")
@click.option(
    "--provider",
    required=True,
    type=click.Choice([*TOOLS, CommandProvider.name, AksProvider.name]),
    help="A tool that is installed here, two commands of your own, or Azure.",
)
@click.option("--cluster-name", metavar="NAME", help="Name of the cluster for its provider. Default: NAME.")
@click.option("--option", "options", metavar="ARGUMENT", multiple=True, help="Argument for kind, k3d, minikube.")
@click.option("--create-command", metavar="COMMAND", help="For command: creates a cluster. No shell reads it.")
@click.option("--delete-command", metavar="COMMAND", help="For command: deletes it. It is stored in the workspace.")
@click.option("--kubeconfig", metavar="FILE", help="The file that --create-command writes. Default: it prints it.")
@click.option("--context", metavar="NAME", help="For command: context of the kubeconfig. Default: its current one.")
@click.option("--resource-group", metavar="NAME", help="For aks: existing group. Default: that of the workspace.")
@click.option("--location", metavar="REGION", help="For aks. Default: that of the workspace.")
@click.option("--agent-count", type=int, metavar="NUMBER", help="For aks: nodes. Default: 3, or 1 for DevTest.")
@click.option("--vm-size", metavar="SIZE", help="For aks: size of the nodes. Default: Standard_D3_v2 (4 vCPU).")
@click.option("--vnet-resourcegroup-name", metavar="NAME", help="For aks: with the other options of the network.")
@click.option("--vnet-name", metavar="NAME", help="For aks: virtual network.")
@click.option("--subnet-name", metavar="NAME", help="For aks: subnet of the nodes.")
@click.option("--service-cidr", metavar="CIDR", help="For aks: addresses of services.")
@click.option("--dns-service-ip", metavar="IP", help="For aks: address of the cluster's DNS.")
@click.option("--docker-bridge-cidr", metavar="CIDR", help="For aks: Azure no longer uses it.")
@click.option("--load-balancer-subnet", metavar="NAME", help="For aks: subnet of an internal load balancer.")
@click.option("--ssl-leaf-domain-label", metavar="LABEL", help="For aks: TLS with a certificate that is signed there.")
@click.option("--ssl-cname", metavar="HOST", help="For aks: TLS with a certificate of your own for this host.")
@click.option("--ssl-cert-file", metavar="FILE", help="Its chain, PEM.")
@click.option("--ssl-key-file", metavar="FILE", help="Its key, PEM.")
@click.option("--namespace", default=names.DEFAULT_NAMESPACE, show_default=True, help="For operator and endpoints.")
@click.option(
    "--purpose",
    type=click.Choice([str(one) for one in Purpose]),
    help="FastProd needs 12 vCPU. Default: FastProd for aks, DevTest for others.",
)
@click.option(
    "--service-type",
    type=click.Choice([str(one) for one in ServiceType]),
    help="How clients reach the routers. Default: LoadBalancer for aks, ClusterIP for others.",
)
@click.option("--internal", is_flag=True, help="The load balancer is reached only from the own network.")
@click.option("--image", metavar="IMAGE", help="Image of operator and routers; by default it is built.")
@workspace_option
def create(name: str, provider: str, workspace: str | None, **given: Any) -> None:
    """Create a cluster with a provider, attach it, and make it a compute target of the workspace.

    An interrupt ends the waiting; the process stays until the cluster is created. `delete` deletes the cluster again.
    """
    given = {key: value for key, value in given.items() if value not in (None, (), False)}
    found = open_workspace(workspace)
    target = ComputeTarget.create(found, name, _provisioning(provider, given))
    _follow(target)


def _provisioning(provider: str, given: dict[str, Any]) -> cluster.ClusterProvisioningConfiguration:
    """Return the settings for `ComputeTarget.create` that the options give."""
    renamed = {"purpose": "cluster_purpose"}
    if provider != AksProvider.name:
        renamed["internal"] = "internal_load_balancer"
        for command in ("create_command", "delete_command"):
            if command in given:
                given[command] = _words(command, given[command])
        allowed = _parameters(KubernetesCompute.provisioning_configuration)
    else:
        if given.pop("internal", False):
            given["load_balancer_type"] = "InternalLoadBalancer"
        allowed = _parameters(AksCompute.provisioning_configuration) | set(_SSL_OPTIONS)
    arguments = {renamed.get(key, key): value for key, value in given.items()}
    if unknown := sorted(arguments.keys() - allowed):
        raise ComputeTargetException(f"--{unknown[0].replace('_', '-')} is not for provider {provider!r}.")
    if provider != AksProvider.name:
        return KubernetesCompute.provisioning_configuration(provider, **arguments)
    ssl = {ours: arguments.pop(option) for option, ours in _SSL_OPTIONS.items() if option in arguments}
    configuration = AksCompute.provisioning_configuration(**arguments)
    if ssl:
        configuration.enable_ssl(**ssl)
    return configuration


def _parameters(function: Callable[..., Any]) -> set[str]:
    return set(signature(function).parameters)


def _words(option: str, text: str) -> list[str]:
    """Return the program and the arguments of a command that is given as one text."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ComputeTargetException(f"--{option.replace('_', '-')} cannot be read: {error}.") from None


def _follow(target: ComputeTarget) -> None:
    """Print the lines of progress, wait for the end, and print the state."""
    if isinstance(target, cluster.ClusterCompute):
        try:
            for line in target.progress():
                say(line)
        except KeyboardInterrupt:
            say(
                f"Interrupted. {target.name} is still being worked on, and this command stays until that is done. "
                "Interrupt again to end it."
            )
    target.wait_for_completion()
    say(f"{target.name}: {target.provisioning_state}")


@computetarget.command("list", short_help="List the compute targets of the workspace.")
@workspace_option
@json_option
def list_targets(workspace: str | None, as_json: bool) -> None:
    """List the compute targets of the workspace, with their states or problems."""
    targets = ComputeTarget.list(open_workspace(workspace))
    if as_json:
        print_document([target.serialize() for target in targets])
    else:
        rows = [
            (one.name, one.type, one.provider or "-", one.provisioning_errors or one.provisioning_state, one.about)
            for one in targets
        ]
        print_table(_COLUMNS, rows)


@computetarget.command()
@click.argument("name")
@workspace_option
@json_option
def show(name: str, workspace: str | None, as_json: bool) -> None:
    """Show one compute target: its settings and its state."""
    document = ComputeTarget(open_workspace(workspace), name).serialize()
    if as_json:
        print_document(document)
    else:
        print_fields([(key, str(value)) for key, value in document.items() if value is not None])


@computetarget.command(short_help="Check a cluster, also from its nodes.")
@click.argument("name", required=False)
@_cluster_options
@workspace_option
@json_option
def check(name: str | None, workspace: str | None, as_json: bool, **given: Any) -> None:
    """Check an attached cluster by its NAME; or, without, a cluster that is to be attached. Leaves nothing there.

    The checks from the nodes run as a Job in the namespace, which is deleted at the end. The exit status is 1 if a
    check failed.
    """
    found = open_workspace(workspace)
    findings = _checked(found, name) if name is not None else None
    if findings is None:
        findings = cluster.findings(found, name or "cluster", _settings(**given))
    if as_json:
        print_document([asdict(one) for one in findings])
    else:
        print_table(_FINDING_COLUMNS, [(one.name, one.state, one.text) for one in findings])
        for one in findings:
            if one.fix:
                say(f"{one.name}: {one.fix}")
    if any(one.state == "failed" for one in findings):
        click.get_current_context().exit(1)


@computetarget.command(short_help="Remove a cluster, with all that was installed there.")
@click.argument("name")
@click.option("--forget", is_flag=True, help="Change nothing in the cluster: it is gone, or cannot be reached.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def detach(name: str, forget: bool, yes: bool, workspace: str | None) -> None:
    """Delete the endpoints of a cluster and all that was installed there; prove that nothing is left."""
    target = ComputeTarget(open_workspace(workspace), name)
    if not isinstance(target, cluster.ClusterCompute) or target.stands_for:
        target.detach()
        return
    if not yes and not forget:
        click.confirm(f"Delete all endpoints of {name!r} and its installation in the cluster?", abort=True)
    target.detach(say, forget=forget)
    say(f"{name} is detached")


@computetarget.command(short_help="Delete a cluster that was created for the workspace.")
@click.argument("name")
@click.option("--forget", is_flag=True, help="The cluster is gone: only remove it from the workspace.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@workspace_option
def delete(name: str, forget: bool, yes: bool, workspace: str | None) -> None:
    """Detach a cluster that `create` has created, and delete it with its provider. It may be detached already."""
    found = open_workspace(workspace)
    created = created_cluster(found.directory, name)
    if created is None:
        ComputeTarget(found, name).delete()  # which refuses, with the reason
        return
    if not yes and not forget:
        click.confirm(f"Delete the {created.about} with all that is in it?", abort=True)
    work = cluster.begin_deletion(found, name, forget=forget)
    with cluster.as_compute_target_exception():
        work.wait(say)
    say(f"{name} is deleted")


def _checked(workspace: Workspace, name: str) -> Sequence[Finding] | None:
    """Return the findings for an attached cluster; None if there is no target of this name."""
    try:
        target = workspace.context.target(name)
    except ComputeTargetException:
        return None
    return target.findings()
