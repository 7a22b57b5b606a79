"""``mljupyter controller``: the commands for the process that runs the endpoints of a workspace."""

from __future__ import annotations

import click

from mljupyter.cli.metrics import controller_metrics as metrics
from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, print_fields, say
from mljupyter.visible import lines_of


@click.group()
def controller() -> None:
    """Manage the controller, the process that keeps endpoints in their desired state."""


@controller.command()
@workspace_option
@json_option
def status(workspace: str | None, as_json: bool) -> None:
    """Show whether the controller runs."""
    found = open_workspace(workspace)
    document = found.controller.running()
    if as_json:
        print_document({"running": document is not None} | (document or {"workspace": str(found.directory)}))
    elif document is None:
        say("not running; it starts when it is needed")
    else:
        _print(document)


@controller.command()
@workspace_option
@json_option
def start(workspace: str | None, as_json: bool) -> None:
    """Start the controller, unless it runs already."""
    document = open_workspace(workspace).controller.ensure()
    if as_json:
        print_document({"running": True} | document)
    else:
        _print(document)


@controller.command()
@click.option("--force", is_flag=True, help="Also end the router and the replicas of all endpoints.")
@workspace_option
@json_option
def stop(force: bool, workspace: str | None, as_json: bool) -> None:
    """Stop the controller. Endpoints keep serving, unless --force is given.

    With --force, router and replicas end as well, within 20 s; processes that do not end are killed.
    """
    result = open_workspace(workspace).controller.stop(force=force)
    if as_json:
        print_document({"stopped": result.stopped, "killed": list(result.killed), "left": result.left})
        return
    say("stopped" if result else "not running")
    if result.killed:
        say(f"killed: {', '.join(result.killed)}")
    if result.left:
        say(f"may still run: {result.left}", err=True)


@controller.command()
@click.option("-n", "--lines", default=200, show_default=True, type=click.IntRange(min=1), help="Number of lines.")
@workspace_option
@json_option
def logs(lines: int, workspace: str | None, as_json: bool) -> None:
    """Print the last lines of the controller's own log."""
    text = open_workspace(workspace).controller.controller_log(lines)
    if as_json:
        print_document({"lines": lines_of(text)})
    else:
        say(text, nl=not text.endswith("\n"))


@controller.command()
@workspace_option
@json_option
def restore(workspace: str | None, as_json: bool) -> None:
    """Restore the controller's database from its last copy. Endpoints keep serving."""
    aside = open_workspace(workspace).controller.restore()
    if as_json:
        print_document({"restored": True, "damaged": str(aside) if aside.exists() else None})
    else:
        was = f"the previous file is now {aside}" if aside.exists() else "there was no previous file"
        say(f"restored the database from its copy; {was}")


controller.add_command(metrics)


def _print(document: dict[str, object]) -> None:
    router = document.get("router")
    state = f"{router['state']}, port {router['port']}" if isinstance(router, dict) else "stopped"
    print_fields(
        [
            ("Running", f"pid {document['pid']}, release {document['release']}"),
            ("Workspace", str(document["workspace"])),
            ("Since", str(document["startedTime"])),
            ("Endpoints", str(document["endpoints"])),
            ("Router", state),
        ]
    )
