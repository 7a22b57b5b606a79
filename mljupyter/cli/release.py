"""The commands of ``mljupyter endpoint`` for rollouts, rollbacks and the history of changes."""

from __future__ import annotations

import sys

import click

from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, print_table, say
from mljupyter.deploy.rollout import told
from mljupyter.notebook.endpoint_commands import control_rollout, roll_back, steps_of, versioned_endpoint
from mljupyter.notebook.views.history import COLUMNS, NO_ROLLOUT, documents, rows

_RETURNED = 3


@click.command(short_help="Shift traffic to a version step by step.")
@click.argument("name")
@click.argument("version", required=False)
@click.option(
    "--steps", default="5,25,100", show_default=True, metavar="PERCENT,...", help="Shares of the version, increasing."
)
@click.option(
    "--every",
    default="1m",
    show_default=True,
    metavar="TIME",
    help="Minimum duration of each step, such as 30s or 10m.",
)
@click.option(
    "--guard",
    metavar="CONDITIONS",
    help="Such as 'p95<200ms, errors<1%'; a breach restores the shares.",
)
@click.option("--least-requests", type=click.IntRange(min=1), help="Requests in a step before a condition is checked.")
@click.option("--promote", is_flag=True, help="Make it the default version at the end.")
@click.option("--wait", is_flag=True, help=f"Wait for the end; exit status {_RETURNED} unless it is Completed.")
@click.option("--pause", "action", flag_value="pause", help="Hold the rollout in its step.")
@click.option("--resume", "action", flag_value="resume", help="Continue; the step starts again.")
@click.option("--abort", "action", flag_value="abort", help="End the rollout and restore the previous shares.")
@workspace_option
@json_option
def rollout(
    name: str,
    version: str | None,
    steps: str,
    every: str,
    guard: str | None,
    least_requests: int | None,
    promote: bool,
    wait: bool,
    action: str | None,
    workspace: str | None,
    as_json: bool,
) -> None:
    """Show the rollout of an endpoint, or increase the share of VERSION step by step while the guard holds."""
    if action is not None and version is not None:
        raise click.UsageError(f"--{action} applies to the running rollout: leave out {version!r}.")
    endpoint = versioned_endpoint(open_workspace(workspace), name)
    if version is not None:
        least = {} if least_requests is None else {"least_requests": least_requests}
        endpoint.rollout(version, steps_of(steps), every, guard, promote=promote, **least)
    elif action is not None:
        control_rollout(endpoint, action)
    found = endpoint.wait_for_rollout(show_output=not as_json) if wait else endpoint.rollout_status()
    if as_json:
        print_document(found.document() if found is not None else None)
    else:
        say(found.text() if wait and found is not None else told(endpoint.record) or NO_ROLLOUT)
    if wait and found is not None and found.phase != "Completed":
        sys.exit(_RETURNED)


@click.command(short_help="Give a version all requests, as the default.")
@click.argument("name")
@click.argument("version")
@workspace_option
@json_option
def promote(name: str, version: str, workspace: str | None, as_json: bool) -> None:
    """Make VERSION the default version with all requests; the other versions stay, without requests."""
    endpoint = versioned_endpoint(open_workspace(workspace), name)
    endpoint.promote(version)
    endpoint.wait_for_deployment()
    if as_json:
        print_document({"name": name, "defaultVersion": version})
    else:
        say(f"{name}: {version} is the default version and has all requests")


@click.command(short_help="Undo the last change of an endpoint.")
@click.argument("name")
@click.option(
    "--to",
    "number",
    type=int,
    metavar="NUMBER",
    help="Number of the history entry to restore; by default the state before the last change.",
)
@workspace_option
@json_option
def rollback(name: str, number: int | None, workspace: str | None, as_json: bool) -> None:
    """Undo the last change of an endpoint; a second rollback undoes the first."""
    entry, lines = roll_back(open_workspace(workspace), name, number)
    if as_json:
        print_document(documents([entry])[0])
        return
    for line in lines:
        say(line)


@click.command(short_help="Show the changes of an endpoint.")
@click.argument("name")
@workspace_option
@json_option
def history(name: str, workspace: str | None, as_json: bool) -> None:
    """Show the changes of an endpoint with time and user, the newest first."""
    entries = open_workspace(workspace).endpoints.history(name)
    if as_json:
        print_document(documents(entries))
    else:
        print_table([column.upper() for column in COLUMNS], rows(entries))
