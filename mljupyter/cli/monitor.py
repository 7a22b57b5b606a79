"""``mljupyter monitor``: requests, latencies and replicas of endpoints, live in a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mljupyter.cli.endpoint import NO_ENDPOINTS
from mljupyter.cli.options import json_option, open_workspace, workspace_option
from mljupyter.cli.output import print_document, say
from mljupyter.core import Webservice, Workspace
from mljupyter.durations import seconds_of
from mljupyter.notebook.views.metrics_table import measured
from mljupyter.visible import visible

if TYPE_CHECKING:
    from rich.console import RenderableType

_LEAST_SECONDS = 0.5
_STATES = {"Healthy": "green", "running": "green", "Transitioning": "yellow", "deploying": "yellow"}


@click.command(short_help="Watch requests, latencies and replicas live.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--window", default="5m", show_default=True, metavar="TIME", help="Period of the figures, until now.")
@click.option("--every", default="2s", show_default=True, metavar="TIME", help="Time between two readings.")
@click.option("--once", is_flag=True, help="Print one table and end.")
@workspace_option
@json_option
def monitor(names: tuple[str, ...], window: str, every: str, once: bool, workspace: str | None, as_json: bool) -> None:
    """Watch endpoints, by default all: a table that stays in place in a terminal, until Ctrl+C.

    Without a terminal, tables are printed one after the other.
    """
    found = open_workspace(workspace)
    seconds = seconds_of(window, "--window", above_zero=True)
    pause = seconds_of(every, "--every", above_zero=True)
    if pause < _LEAST_SECONDS:
        raise click.BadParameter(f"{every} is below {_LEAST_SECONDS:g} s, the least allowed.", param_hint="--every")
    if as_json:
        print_document(measured(_services(found, names), seconds).data)
    elif once:
        say(measured(_services(found, names), seconds).text())
    else:
        _watch(found, names, seconds, pause)


def _services(workspace: Workspace, names: Sequence[str]) -> list[Webservice]:
    if not names:
        return list(Webservice.list(workspace))
    return [Webservice.from_record(workspace, workspace.endpoints.endpoint(name)) for name in dict.fromkeys(names)]


def _watch(workspace: Workspace, names: Sequence[str], seconds: float, pause: float) -> None:
    """Show the table until an interrupt: in place in a terminal, else one after the other."""
    try:
        if not sys.stdout.isatty():
            while True:
                say(measured(_services(workspace, names), seconds).text() + "\n")
                time.sleep(pause)
        from rich.live import Live  # slow to import; only for a terminal

        with Live(_view(_services(workspace, names), seconds), auto_refresh=False, screen=False) as live:
            while True:
                time.sleep(pause)
                live.update(_view(_services(workspace, names), seconds), refresh=True)
    except KeyboardInterrupt:
        say("Stopped.")


def _view(services: Sequence[Webservice], seconds: float) -> RenderableType:
    """Return the figures and states of endpoints, with their problems, for a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    figures = measured(services, seconds)
    table = Table(*figures.columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for row in figures.rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    lines: list[Any] = [Text(f"Last {seconds:g} s, {time.strftime('%H:%M:%S')}; Ctrl+C stops.", style="dim"), table]
    for service in services:
        state = str(service.state)
        line = Text.assemble((f"{service.name}: ", "bold"), (state, _STATES.get(state, "red")))
        if service.error:
            line.append(f"  {visible(service.error.splitlines()[0])}")
        lines.append(line)
    if not services:
        lines.append(Text(NO_ENDPOINTS))
    return Group(*lines)
