"""Data of the history panel: changes and scaling decisions of an endpoint in one list, without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mljupyter.spec import ScalingDecision
from mljupyter.spec.history import HistoryEntry

MOST_ENTRIES = 500
_SHARE = "trafficPercentile"
_TRAFFIC = ("rolled out", "promoted")


def timeline_of(entries: Sequence[HistoryEntry], decisions: Sequence[ScalingDecision]) -> list[dict[str, Any]]:
    """Return what has happened to an endpoint, the newest first, at most `MOST_ENTRIES`.

    Each item has ``key``, ``kind`` (``deployment``, ``traffic`` or ``scaling``), ``time`` in seconds, ``who``, ``what``
    and ``lines``. Specs are left out: environment variables may hold secrets.

    Parameters:
        entries: the changes of the endpoint.
        decisions: the changes of numbers of replicas by the autoscaler.

    Example:
        >>> timeline_of([], [])
        []

    """
    found = [_change(entry) for entry in entries] + [
        _decision(decision, place) for place, decision in enumerate(decisions)
    ]
    return sorted(found, key=lambda item: item["time"], reverse=True)[:MOST_ENTRIES]


def _change(entry: HistoryEntry) -> dict[str, Any]:
    return {
        "key": f"change {entry.number}",
        "kind": _kind(entry),
        "time": entry.time.timestamp(),
        "who": entry.user or "unknown",
        "what": f"{entry.action} ({entry.number})",
        "lines": list(entry.changes),
    }


def _kind(entry: HistoryEntry) -> str:
    """Return whether a change was about shares of requests alone, or about numbers of replicas alone."""
    if entry.action.startswith(_TRAFFIC) or (entry.changes and all(_SHARE in line for line in entry.changes)):
        return "traffic"
    if entry.changes and all(".scaling." in line for line in entry.changes):
        return "scaling"
    return "deployment"


def _decision(decision: ScalingDecision, place: int) -> dict[str, Any]:
    room = f", room for {decision.admitted}" if decision.admitted < decision.after else ""
    return {
        "key": f"decision {decision.time.timestamp()} {decision.version} {place}",
        "kind": "scaling",
        "time": decision.time.timestamp(),
        "who": "autoscaler",
        "what": f"{decision.version}: {decision.before} → {decision.after} replicas{room}",
        "lines": [decision.reason],
    }
