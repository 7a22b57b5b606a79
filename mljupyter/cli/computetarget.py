"""``mljupyter computetarget``: the commands for compute targets, above all for Kubernetes clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import click

from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_fields, print_json, print_table, say
from mljupyter.core import ComputeTarget, Workspace
from mljupyter.core.compute import cluster
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Purpose, ServiceType
from mljupyter.targets.base import Finding
from mljupyter.targets.kubernetes.attachment import ClusterSettings

Command = TypeVar("Command", bound=Callable[..., Any])
_COLUMNS = ("NAME", "TYPE", "STATE", "ABOUT")
_FINDING_COLUMNS = ("CHECK", "STATE", "FINDING")


@click.group()
def computetarget() -> None:
    """Attach, check, list and detach compute targets: Kubernetes clusters."""


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
            click.option("--image", metavar="IMAGE", help="Image of operator and routers; by default it is built."),
        )
    ):
        command = option(command)
    return command


@computetarget.command(short_help="Attach a Kubernetes cluster under a name.")
@click.argument("name")
@_cluster_options
@click.option("--force", is_flag=True, help="Take over the installation of another workspace, with its endpoints.")
@click.option("--dry-run", is_flag=True, help="Print the objects that would be applied, as YAML; apply nothing.")
@workspace_option
def attach(name: str, force: bool, dry_run: bool, workspace: str | None, **given: Any) -> None:
    """Check a cluster, install operator and routers in it, and make it a compute target of the workspace.

    Attaching again repairs it, upgrades it to this release, or changes its settings.
    """
    found, settings = open_workspace(workspace), ClusterSettings(**given)
    if dry_run:
        say(cluster.manifests_text(found, name, settings))
        return
    cluster.begin(found, name, settings, force=force)
    target = cluster.ClusterCompute(found, name)
    for line in target.progress():
        say(line)
    target.wait_for_completion()
    say(f"{name}: {target.provisioning_state}")


@computetarget.command("list", short_help="List the compute targets of the workspace.")
@workspace_option
@json_option
def list_targets(workspace: str | None, as_json: bool) -> None:
    """List the compute targets of the workspace, with their states or problems."""
    targets = ComputeTarget.list(open_workspace(workspace))
    if as_json:
        print_json([target.serialize() for target in targets])
    else:
        rows = [(one.name, one.type, one.provisioning_errors or one.provisioning_state, one.about) for one in targets]
        print_table(_COLUMNS, rows)


@computetarget.command()
@click.argument("name")
@workspace_option
@json_option
def show(name: str, workspace: str | None, as_json: bool) -> None:
    """Show one compute target: its settings and its state."""
    document = ComputeTarget(open_workspace(workspace), name).serialize()
    if as_json:
        print_json(document)
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
        findings = cluster.findings(found, name or "cluster", ClusterSettings(**given))
    if as_json:
        print_json([asdict(one) for one in findings])
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
    if not isinstance(target, cluster.ClusterCompute):
        target.detach()
        return
    if not yes and not forget:
        click.confirm(f"Delete all endpoints of {name!r} and its installation in the cluster?", abort=True)
    target.detach(say, forget=forget)
    say(f"{name} is detached")


def _checked(workspace: Workspace, name: str) -> Sequence[Finding] | None:
    """Return the findings for an attached cluster; None if there is no target of this name."""
    try:
        target = workspace.context.target(name)
    except ComputeTargetException:
        return None
    return target.findings()
