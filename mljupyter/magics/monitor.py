"""``%monitor``: what endpoints are doing, as a live panel, as tables that follow, as one of now, or as data."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mljupyter.frontend.measured import frame_of, measured
from mljupyter.frontend.options import JSON, Option
from mljupyter.magics.call import Call, json_line
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic

if TYPE_CHECKING:
    from mljupyter.core import Webservice

_PANEL = "mljupyter.widgets.monitor"


def run(call: Call) -> Any:
    """Return a live panel, or a table of now, or the data; in a terminal follow the endpoints until interrupted."""
    workspace = call.session.workspace()
    services = [webservice(workspace, name) for name in dict.fromkeys(call["names"])]
    if call["json"]:
        print(json_line(measured(services, call["window"]).data))
    if call["output"]:
        return call.deliver(frame_of(services, call["window"]))
    if call["json"]:
        return None
    if call["once"]:
        return measured(services, call["window"])
    if call.has_widgets and not call["text"] and (panels := _panels(services)):
        return _shown(panels)
    return _follow(call, services)


def _panels(services: list[Webservice]) -> list[Any]:
    """Return the live panels, none where they are not installed; a table of now stays in saved notebooks."""
    from importlib import import_module
    from importlib.util import find_spec

    if find_spec(_PANEL) is None:
        return []
    monitor = import_module(_PANEL).Monitor
    return [monitor(name=service.name, workspace=service.workspace) for service in services]


def _shown(panels: list[Any]) -> Any:
    """Display all panels but the last, which is the cell's value."""
    from IPython.display import display

    for panel in panels[:-1]:
        display(panel)  # type: ignore[no-untyped-call]
    return panels[-1]


def _follow(call: Call, services: list[Webservice]) -> None:
    print(f"Every {call['every']:g} s, over the last {call['window']:g} s; interrupt to stop.", flush=True)
    try:
        while True:
            print(measured(services, call["window"]).text(), flush=True)
            time.sleep(call["every"])
    except KeyboardInterrupt:
        print("Stopped.")


MAGIC = Magic(
    name="monitor",
    summary="Show requests, errors, latencies and replicas of endpoints, version by version.",
    options=(
        Option(
            "names",
            "names of endpoints",
            metavar="NAME...",
            positional=True,
            required=True,
            repeatable=True,
            completes="endpoint",
        ),
        Option("window", "how far to look back", kind="duration", metavar="TIME", default="5m", minimum=1),
        Option("every", "how often to look", kind="duration", metavar="TIME", default="2s", minimum=0.5),
        Option("once", "show one table and end", kind="flag"),
        Option("text", "no panel: print tables until interrupted, as in a terminal", kind="flag"),
        Option("output", "keep what was measured in this variable, a tidy DataFrame", short="-o", metavar="VAR"),
        JSON,
    ),
    example="%monitor diabetes\n%monitor diabetes iris --once\n%monitor diabetes --window 1h -o df",
    run=run,
)
