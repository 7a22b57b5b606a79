"""Panel that compares the control version with the treatments, live."""

from __future__ import annotations

from typing import Any

from mljupyter.core import Workspace
from mljupyter.notebook.views.metrics_table import failures_of
from mljupyter.notebook.views.views import Table
from mljupyter.widgets.panels.actions import act
from mljupyter.widgets.panels.comparison_data import comparison_of
from mljupyter.widgets.panels.live_panel import LivePanel
from mljupyter.widgets.static_files import module, styles

SECONDS = (60, 300, 900, 3600)
_POINTS = 60
_DRAWN = ("time", "version", "latency_p95_ms", "requests", "requests_per_second")


class Comparison(LivePanel):
    """A panel that compares the versions of an endpoint, and promotes one.

    Parameters:
        workspace: the workspace of the endpoint.
        name: the endpoint.
        seconds: the period of the comparison; the view can change it.

    Raises:
        MLJupyterError: there is no such endpoint.

    """

    _esm = module("comparison")
    _css = styles("comparison")

    def __init__(self, workspace: Workspace, name: str, seconds: int = 300) -> None:
        self._seconds = seconds
        super().__init__(workspace, name, f"%mlj compare {name} --live")

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("kind") == "window" and message.get("seconds") in SECONDS:
            self._seconds = int(message["seconds"])
        elif message.get("kind") == "act":
            values = {"version": str(message.get("version", ""))}
            self._worker.put(lambda: self._say(act(self._workspace, self._endpoint, "promote", values)))

    def _look(self, whole: bool) -> dict[str, Any]:
        endpoints = self._workspace.endpoints
        seconds = self._seconds
        every = max(seconds // _POINTS, 1)
        report = endpoints.metrics(self._endpoint, since=seconds, every=every)
        return {
            "name": self._endpoint,
            "seconds": seconds,
            **comparison_of(endpoints.endpoint(self._endpoint), report),
            "series": {
                **{column: report["versions"][column] for column in _DRAWN},
                "errors": failures_of(report["versions"]),
            },
        }

    def _table(self) -> Table:
        endpoints = self._workspace.endpoints
        record = endpoints.endpoint(self._endpoint)
        found = comparison_of(record, endpoints.metrics(self._endpoint, since=self._seconds))
        rows = [
            [row["label"], *("-" if value is None else f"{value:.3g} {row['unit']}".strip() for value in row["values"])]
            for row in found["rows"]
        ]
        columns = ("", *(f"{item['version']} ({item['role']})" for item in found["versions"]))
        return Table(columns, rows, found["rows"], "No versions.")
