"""``mljupyter gc``: remove what nobody needs any more."""

from __future__ import annotations

import click

from mljupyter.cli.options import FiniteNumber, json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_json, say
from mljupyter.deploy.gc import collect_garbage

_MOST_NAMES = 5
_UNITS = ("bytes", "KB", "MB", "GB", "TB")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option(
    "--unused-days",
    default=30.0,
    show_default=True,
    type=FiniteNumber(min=0),
    help="Environments, failed images and stages of builds go when nobody asked for them this long.",
)
@workspace_option
@json_option
def gc(dry_run: bool, unused_days: float, workspace: str | None, as_json: bool) -> None:
    """Remove content, environments, images and revisions that nobody needs any more.

    What an endpoint uses or what is registered stays, and so does what is younger than an hour. The controller does
    this once a day.
    """
    collected = collect_garbage(open_workspace(workspace).context, unused_days=unused_days, dry_run=dry_run)
    if as_json:
        from dataclasses import asdict

        print_json({"dryRun": dry_run, "collected": [asdict(one) for one in collected]})
        return
    for one in collected:
        names = ", ".join(one.names[:_MOST_NAMES]) + (", ..." if len(one.names) > _MOST_NAMES else "")
        size = f", {_readable(one.size)}" if one.size else ""
        say(f"{one.kind}: {one.count} {'to remove' if dry_run else 'removed'}{size}{names and f' ({names})'}")
        if one.problem:
            say(f"    left alone: {one.problem}", err=True)


def _readable(size: float) -> str:
    for unit in _UNITS[:-1]:
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} {_UNITS[-1]}"
