"""``mljupyter workspace``: commands for workspaces; `workspace_archive` has those for archives and shared storage."""

from __future__ import annotations

from typing import Any

import click

from mljupyter.cli import flags
from mljupyter.cli.flags import NamedCommand, OldCommand, v1_options
from mljupyter.cli.options import open_workspace, place_given
from mljupyter.cli.output import print_document, print_fields, print_table, progress_on_stderr, say
from mljupyter.cli.workspace_archive import COMMANDS
from mljupyter.core import Workspace
from mljupyter.exceptions import WorkspaceException

_COLUMNS = ("NAME", "DIRECTORY")


@click.group()
def workspace() -> None:
    """Create, list, show and delete workspaces: directories with models, endpoints and settings."""


@workspace.command("list", cls=OldCommand, short_help="List the workspaces of this machine.")
@v1_options()
def list_workspaces(workspace: str | None, as_json: bool) -> None:
    """List the workspaces of this machine."""
    found = [one for each in Workspace.list().values() for one in each]
    if as_json:
        print_document([_document(one) for one in found])
    elif not found:
        say("No workspaces. Create one with: mljupyter workspace create NAME")
    else:
        print_table(_COLUMNS, [(one.name, str(one.directory)) for one in found])


@workspace.command(cls=OldCommand, short_help="Show one workspace.")
@v1_options(flags.flag("-n", "--name", metavar="NAME", help="The workspace; as --workspace."))
def show(name: str | None, workspace: str | None, as_json: bool) -> None:
    """Show one workspace."""
    found = open_workspace(workspace or name)
    document = _document(found)
    if as_json:
        print_document(document)
    else:
        print_fields([(key, str(value)) for key, value in document.items() if value not in ("", None, {}, False)])


@workspace.command(cls=NamedCommand, short_help="Create a workspace.")
@click.argument("name", required=False)
@v1_options(
    flags.flag("-l", "--location", metavar="REGION", help="Noted, without effect."),
    flags.flag("--friendly-name", metavar="NAME", help="Noted."),
    flags.flag("--container-registry", metavar="HOST", help="Registry that its images are pushed to."),
    flags.flag("--directory", metavar="DIR", help="Directory for it, new or empty."),
    flags.flag("--exists-ok", "--exist-ok", is_flag=True, help="Succeed if it exists."),
    flags.flag("--sku", metavar="SKU", hidden=True, expose_value=False),
    flags.flag("-t", "--tags", hidden=True, expose_value=False),
)
def create(name: str | None, workspace: str | None, as_json: bool, **values: Any) -> None:
    """Create a workspace named NAME."""
    wanted = name or workspace
    if wanted is None:
        raise click.UsageError("NAME is missing: 3 to 33 letters, digits, '-' and '_'.")
    place = place_given()
    try:
        with progress_on_stderr():
            made = Workspace.create(
                wanted,
                subscription_id=place.get("subscription_id"),
                resource_group=place.get("resource_group"),
                location=values["location"],
                friendly_name=values["friendly_name"],
                container_registry=values["container_registry"],
                path=values["directory"],
                exist_ok=values["exist_ok"],
            )
    except WorkspaceException as error:
        if "exist_ok" not in error.message:
            raise
        raise WorkspaceException(f"There is a workspace {wanted!r} already; --exist-ok uses it.") from None
    if as_json:
        print_document(_document(made))
    else:
        say(f"{made.name}: created in {made.directory}")


@workspace.command(cls=NamedCommand, short_help="Delete a workspace with all that is in it.")
@click.argument("name", required=False)
@v1_options(
    flags.flag("--all-resources", is_flag=True, help="Also its endpoints and images."),
    flags.flag("--yes", "-y", "yes", is_flag=True, help="Do not ask."),
    flags.flag("--no-wait", is_flag=True, hidden=True, expose_value=False),
)
def delete(name: str | None, all_resources: bool, yes: bool, workspace: str | None, as_json: bool) -> None:
    """Delete the workspace NAME: its models, environments, images and runs."""
    wanted = name or workspace
    if wanted is None:
        raise click.UsageError("NAME is missing: the workspace to delete.")
    found = open_workspace(wanted)
    if not yes:
        click.confirm(f"Delete workspace {found.name!r} in {found.directory} with all that is in it?", abort=True)
    with progress_on_stderr():
        found.delete(delete_dependent_resources=all_resources)
    if as_json:
        print_document({"name": found.name, "deleted": True})
    else:
        say(f"{found.name}: deleted")


for _command in COMMANDS:
    workspace.add_command(_command)


def _document(one: Workspace) -> dict[str, Any]:
    return {
        "name": one.name,
        "resourceGroup": one.resource_group,
        "subscriptionId": one.subscription_id,
        **{key: value for key, value in one.get_details().items() if key != "name"},
    }
