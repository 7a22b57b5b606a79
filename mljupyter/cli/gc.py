"""``mljupyter gc``: the garbage collection of a workspace."""

from __future__ import annotations

import click

from mljupyter.cli.options import FiniteNumber, json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, say
from mljupyter.deploy.gc import collect_garbage
from mljupyter.sizes import readable_size

_MOST_NAMES = 5


@click.command()
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
@click.option(
    "--unused-days",
    default=30.0,
    show_default=True,
    type=FiniteNumber(min=0),
    help="Remove environments, failed images and build stages that have not been used for this many days.",
)
@workspace_option
@json_option
def gc(dry_run: bool, unused_days: float, workspace: str | None, as_json: bool) -> None:
    """Remove unused content, environments, images and revisions.

    Everything stays that an endpoint uses, that is registered, or that is less than an hour old. The controller does
    this once a day.
    """
    collected = collect_garbage(open_workspace(workspace).context, unused_days=unused_days, dry_run=dry_run)
    if as_json:
        from dataclasses import asdict

        print_document({"dryRun": dry_run, "collected": [asdict(one) for one in collected]})
        return
    for one in collected:
        names = ", ".join(one.names[:_MOST_NAMES]) + (", ..." if len(one.names) > _MOST_NAMES else "")
        size = f", {readable_size(one.size)}" if one.size else ""
        say(f"{one.kind}: {one.count} {'to remove' if dry_run else 'removed'}{size}{names and f' ({names})'}")
        if one.problem:
            say(f"    not removed: {one.problem}", err=True)
