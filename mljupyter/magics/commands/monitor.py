"""``%monitor``: metrics of endpoints, as a live panel, as tables, or as data."""

from __future__ import annotations

import time
from typing import Any

from mljupyter.core import Webservice
from mljupyter.magics.commands.endpoints import webservice
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.views.metrics_table import frame_of, measured


def run(call: Call) -> Any:
    """Return a live panel, a table, or the data; in a terminal print tables until interrupted."""
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
    if call.has_widgets and not call["text"]:
        return _panels(call, services)
    return _follow(call, services)


def _panels(call: Call, services: list[Webservice]) -> Any:
    """Display a live panel for each endpoint. The last panel is the cell's value."""
    from IPython.display import display

    from mljupyter.widgets.panels.monitor import Monitor  # slow import; only if a widget is shown

    panels = [Monitor(service.workspace, service.name, call["window"]) for service in services]
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
