"""Table of an endpoint's history, and text of its state, for magics and the command line."""

from __future__ import annotations

from collections.abc import Sequence

from mljupyter.spec import EndpointRecord
from mljupyter.spec.history import HistoryEntry

COLUMNS = ("Number", "Time", "User", "Action", "Changes")
NO_ROLLOUT = "no rollout yet"


def rows(entries: Sequence[HistoryEntry]) -> list[list[str]]:
    """Return the rows of a table with `COLUMNS`, the newest entry first."""
    return [
        [
            str(entry.number),
            f"{entry.time:%Y-%m-%d %H:%M:%S}",
            entry.user or "unknown",
            entry.action,
            "; ".join(entry.changes),
        ]
        for entry in reversed(entries)
    ]


def documents(entries: Sequence[HistoryEntry]) -> list[dict[str, object]]:
    """Return the entries as JSON types, without the specs: environment variables may hold secrets."""
    return [{key: value for key, value in entry.document().items() if key != "spec"} for entry in reversed(entries)]


def state_text(record: EndpointRecord) -> str:
    """Return the state of an endpoint, with its current rollout."""
    rollout = record.rollout
    if rollout is None or not rollout.active:
        return str(record.status.state)
    return f"{record.status.state}, rollout of {rollout.plan.version} {rollout.phase} at {rollout.share} %"
