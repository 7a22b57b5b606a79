"""Panel with the history of an endpoint: deployments, traffic changes and scaling decisions, as they happen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mljupyter.core import Workspace
from mljupyter.notebook.views.history import COLUMNS, documents, rows
from mljupyter.notebook.views.views import Table
from mljupyter.spec import ScalingDecision
from mljupyter.spec.history import HistoryEntry
from mljupyter.widgets.panels.history_data import MOST_ENTRIES, timeline_of
from mljupyter.widgets.panels.live_panel import LivePanel
from mljupyter.widgets.static_files import module, styles

_DECISIONS_EVERY = 5  # ticks


class EndpointHistory(LivePanel):
    """A panel that lists what has happened to an endpoint.

    Parameters:
        workspace: the workspace of the endpoint.
        name: the endpoint.

    Raises:
        MLJupyterError: there is no such endpoint.

    """

    _esm = module("history")
    _css = styles("history")

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._ticks = 0
        self._changes: Sequence[HistoryEntry] = ()
        self._decisions: Sequence[ScalingDecision] = ()
        self._generation = -1
        super().__init__(workspace, name, f"%mlj history {name}")

    def _look(self, whole: bool) -> dict[str, Any]:
        endpoints = self._workspace.endpoints
        record = endpoints.endpoint(self._endpoint)
        before = self._changes, self._decisions
        if whole or record.generation != self._generation:
            self._changes, self._generation = endpoints.history(self._endpoint), record.generation
        if whole or self._ticks % _DECISIONS_EVERY == 0:
            self._decisions = endpoints.scaling_history(self._endpoint, most=MOST_ENTRIES)
        self._ticks += 1
        found: dict[str, Any] = {"name": self._endpoint, "state": str(record.status.state)}
        if whole or before != (self._changes, self._decisions):
            found["entries"] = timeline_of(self._changes, self._decisions)
        return found

    def _table(self) -> Table:
        entries = self._workspace.endpoints.history(self._endpoint)
        return Table(COLUMNS, rows(entries), documents(entries), "No changes.")
