"""Endpoint monitor: live metrics of an endpoint, with actions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import traitlets

from mljupyter.core import Webservice, Workspace
from mljupyter.engine.log_lines import shown_lines
from mljupyter.notebook.views.metrics_table import measured
from mljupyter.notebook.views.views import Table
from mljupyter.spec import ScalingDecision
from mljupyter.spec.history import HistoryEntry
from mljupyter.visible import lines_of
from mljupyter.widgets.panels import monitor_data as data
from mljupyter.widgets.panels.actions import act
from mljupyter.widgets.panels.live_panel import LivePanel
from mljupyter.widgets.static_files import module, styles

WINDOW_SECONDS = 900
_DECISIONS_EVERY = 2  # ticks
_ROUTER_EVERY = 5  # ticks: the self-scaling of a cluster decides as often
_MOST_DECISIONS = 50
_MOST_CHANGES = 20
_LOG_LINES = 300


class Monitor(LivePanel):
    """A panel for one endpoint: replicas with the reason for their number, requests, latencies, errors, actions.

    For an endpoint on a cluster it shows the size of the router too.

    Parameters:
        workspace: the workspace of the endpoint.
        name: the endpoint.
        seconds: the initial period of the charts; at most 900.

    Raises:
        MLJupyterError: there is no such endpoint.

    """

    _esm = module("monitor")
    _css = styles("monitor")

    seconds = traitlets.Float().tag(sync=True)

    def __init__(self, workspace: Workspace, name: str, seconds: float = 300) -> None:
        self._log: dict[str, Any] | None = None
        self._cursor = 0.0
        self._decisions: list[ScalingDecision] = []
        self._router: dict[str, Any] | None = None
        self._changes: list[HistoryEntry] = []
        self._generation = 0
        self._ticks = 0
        super().__init__(workspace, name, f"%monitor {name}")
        self.seconds = seconds

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("kind") == "log":
            replica = message.get("replica")
            self._log = {"replica": str(replica) if replica else None} if message.get("open") else None
        elif message.get("kind") == "act":
            action, values = str(message.get("action")), message.get("values") or {}
            self._worker.put(lambda: self._say(act(self._workspace, self._endpoint, action, values)))

    def _look(self, whole: bool) -> dict[str, Any]:
        endpoints = self._workspace.endpoints
        record = endpoints.endpoint(self._endpoint)
        minute = endpoints.metrics(self._endpoint, since=60, every=1)
        series = endpoints.metrics(self._endpoint, since=WINDOW_SECONDS, every=1) if whole else minute
        found: dict[str, Any] = {
            "status": data.status_of(record, data.usage_of(minute)),
            "summary": data.summary_of(minute),
            "histogram": data.histogram_of(minute),
            "series": data.series_of(series, record, 0 if whole else self._cursor),
        }
        is_changed = record.generation != self._generation
        if whole or is_changed:
            self._changes, self._generation = endpoints.history(self._endpoint), record.generation
        if whole or is_changed or self._ticks % _DECISIONS_EVERY == 0:
            decisions = endpoints.scaling_history(self._endpoint, most=_MOST_DECISIONS)
            if whole or is_changed or decisions != self._decisions:
                self._decisions = decisions
                found["decisions"] = data.decisions_of(decisions)
                found["marks"] = data.marks_of(self._changes[-_MOST_CHANGES:], decisions)
        if whole or self._ticks % _ROUTER_EVERY == 0:
            size = self._workspace.context.target(record.spec.compute_target).router_size()
            router = None if size is None else data.router_of(size)
            if router is not None and (whole or router != self._router):
                found["router"] = router
            self._router = router
        if (log := self._log) is not None:
            lines = lines_of(endpoints.logs(self._endpoint, lines=_LOG_LINES, **log))
            found["log"] = "\n".join(shown_lines(lines, datetime.now(UTC)))
        self._ticks += 1
        self._cursor = minute["cursor"] - 1  # the last second may have been incomplete
        return found

    def _table(self) -> Table:
        return measured([Webservice(self._workspace, self._endpoint)], WINDOW_SECONDS)
