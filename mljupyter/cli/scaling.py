"""The commands of ``mljupyter endpoint`` for numbers of replicas and the decisions of the autoscaler."""

from __future__ import annotations

import click

from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, print_table, say
from mljupyter.notebook.endpoint_commands import replicas_of
from mljupyter.notebook.endpoint_commands import scale as change
from mljupyter.notebook.views.scaling import COLUMNS, DECISION_COLUMNS, decision_rows, documents, rows

_AT_LEAST_ONE = click.IntRange(min=1)


@click.command(short_help="Show or set the number of replicas of a version.")
@click.argument("name")
@click.argument("size", required=False, metavar="[N|MIN:MAX]")
@click.option("--version", metavar="VERSION", help="The version; by default the default version.")
@click.option("--replicas", type=_AT_LEAST_ONE, help="A fixed number of replicas.")
@click.option("--min", "minimum", type=click.IntRange(min=0), help="Smallest number of replicas; 0: scale to zero.")
@click.option("--max", "maximum", type=_AT_LEAST_ONE, help="Largest number of replicas.")
@click.option("--target-utilization", type=_AT_LEAST_ONE, help="Target share of busy replicas in percent.")
@click.option(
    "--refresh-seconds",
    type=_AT_LEAST_ONE,
    help="Seconds until the autoscaler decides after a change of the load, at most.",
)
@click.option("--scale-down-seconds", type=_AT_LEAST_ONE, help="Time with less load before replicas are removed.")
@click.option("--scale-to-zero-seconds", type=_AT_LEAST_ONE, help="Time without requests before scale to zero.")
@click.option("--max-wake-wait-ms", type=_AT_LEAST_ONE, help="Longest time requests wait for the first replica.")
@workspace_option
@json_option
def scale(
    name: str, size: str | None, version: str | None, workspace: str | None, as_json: bool, **given: int | None
) -> None:
    """Show or change the number of replicas of a version. N sets a fixed number, MIN:MAX turns on autoscaling.

    `mljupyter endpoint scaling` shows the past decisions of the autoscaler.
    """
    if size is not None:
        for key, value in replicas_of(size).items():
            if given[key] is not None:
                raise click.UsageError(f"{key} is given twice: as {size} and as an option.")
            given[key] = value
    record = change(open_workspace(workspace), name, version, **given)
    if as_json:
        print_document(documents(record))
    else:
        print_table([column.upper() for column in COLUMNS], rows(record))


@click.command(short_help="Show the past decisions of the autoscaler.")
@click.argument("name")
@click.option("--version", metavar="VERSION", help="Only this version.")
@click.option(
    "-n",
    "--lines",
    default=20,
    show_default=True,
    type=_AT_LEAST_ONE,
    help="Print only the newest decisions, this many.",
)
@workspace_option
@json_option
def scaling(name: str, version: str | None, lines: int, workspace: str | None, as_json: bool) -> None:
    """Show the past decisions of the autoscaler: time (UTC), previous and new number, reason.

    `mljupyter endpoint scale` shows and changes the present number of replicas.
    """
    decisions = open_workspace(workspace).endpoints.scaling_history(name, version, lines)
    if as_json:
        print_document([item.document() for item in decisions])
    elif not decisions:
        say("No decisions yet.")
    else:
        print_table([column.upper() for column in DECISION_COLUMNS], decision_rows(decisions))
