"""``mljupyter endpoint scale`` and ``scaling``: change numbers of replicas, and see why they changed."""

from __future__ import annotations

import click

from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_json, print_table, say
from mljupyter.notebook.endpoint_commands import replicas_of
from mljupyter.notebook.endpoint_commands import scale as change
from mljupyter.notebook.views.scaling import COLUMNS, DECISION_COLUMNS, decision_rows, documents, rows

_AT_LEAST_ONE = click.IntRange(min=1)


@click.command()
@click.argument("name")
@click.argument("size", required=False, metavar="[N|MIN:MAX]")
@click.option("--version", metavar="VERSION", help="The version; else the default version.")
@click.option("--replicas", type=_AT_LEAST_ONE, help="A fixed number of replicas.")
@click.option("--min", "minimum", type=click.IntRange(min=0), help="Least replicas; with 0 none without requests.")
@click.option("--max", "maximum", type=_AT_LEAST_ONE, help="Most replicas.")
@click.option("--target-utilization", type=_AT_LEAST_ONE, help="Which part of the replicas should be busy, in percent.")
@click.option("--refresh-seconds", type=_AT_LEAST_ONE, help="A change of the load is answered within this time.")
@click.option("--scale-down-seconds", type=_AT_LEAST_ONE, help="Fewer replicas after this time with less load.")
@click.option("--scale-to-zero-seconds", type=_AT_LEAST_ONE, help="None after this time without a request.")
@click.option("--max-wake-wait-ms", type=_AT_LEAST_ONE, help="How long requests wait for the first replica.")
@workspace_option
@json_option
def scale(
    name: str, size: str | None, version: str | None, workspace: str | None, as_json: bool, **given: int | None
) -> None:
    """Show how many replicas the versions of an endpoint have, or change it: SIZE is a number, or bounds MIN:MAX."""
    if size is not None:
        for key, value in replicas_of(size).items():
            if given[key] is not None:
                raise click.UsageError(f"{key} is given twice: as {size} and as an option.")
            given[key] = value
    record = change(open_workspace(workspace), name, version, **given)
    if as_json:
        print_json(documents(record))
    else:
        print_table([column.upper() for column in COLUMNS], rows(record))


@click.command()
@click.argument("name")
@click.option("--version", metavar="VERSION", help="Only this version.")
@click.option("-n", "--lines", default=20, show_default=True, type=_AT_LEAST_ONE, help="How many decisions.")
@workspace_option
@json_option
def scaling(name: str, version: str | None, lines: int, workspace: str | None, as_json: bool) -> None:
    """Show the newest decisions on numbers of replicas: when, from, to, and why. Times are UTC."""
    decisions = open_workspace(workspace).endpoints.scaling_history(name, version, lines)
    if as_json:
        print_json([item.document() for item in decisions])
    elif not decisions:
        say("No decisions yet.")
    else:
        print_table([column.upper() for column in DECISION_COLUMNS], decision_rows(decisions))
