"""Rates: the requests per second of an endpoint in the last minutes, for the small charts of the side panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SECONDS = 120
EVERY = 5
"""The period of a chart, and the width of one of its points."""
_IDLE_EVERY = 6
"""An endpoint without requests is asked every so many times."""


def rates_of(report: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return the points of a chart, oldest first, and the p95 of the period in milliseconds.

    Parameters:
        report: the metrics of an endpoint of the last `SECONDS`, in intervals of `EVERY` seconds, over all versions.
        now: seconds since the epoch.

    Example:
        >>> report = {"versions": {"time": [995.0], "requests": [10]}, "summary": {"latency_p95_ms": [3.26]}}
        >>> found = rates_of(report, 1000.0)
        >>> found["points"][-3:], found["p95"]
        ([0.0, 2.0, 0.0], 3.3)

    """
    points = [0.0] * (SECONDS // EVERY)
    columns = report["versions"]
    newest = int(now // EVERY)
    for time, requests in zip(columns["time"], columns["requests"], strict=True):
        place = len(points) - 1 - (newest - int(time // EVERY))
        if 0 <= place < len(points):
            points[place] += requests / EVERY
    p95 = next((value for value in report["summary"]["latency_p95_ms"] if value is not None), None)
    return {"points": [round(point, 2) for point in points], "p95": None if p95 is None else round(p95, 1)}


def due(names: Sequence[str], told: Mapping[str, Mapping[str, Any]], number: int) -> list[str]:
    """Return the endpoints whose rates are asked for now: all that have requests, and some of the others.

    Parameters:
        names: the endpoints on the screen.
        told: the rates that are known.
        number: how many times somebody has asked before.

    Example:
        >>> told = {"busy": {"points": [0.0, 2.0]}, "idle": {"points": [0.0, 0.0]}}
        >>> due(["busy", "idle", "new"], told, 1), due(["busy", "idle"], told, 5)
        (['busy', 'new'], ['busy', 'idle'])

    """
    return [
        name
        for place, name in enumerate(names)
        if name not in told or any(told[name]["points"]) or (number + place) % _IDLE_EVERY == 0
    ]
