"""Comparison of the control version with the treatments: settings and metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.core import Workspace
from mljupyter.notebook.views.metrics_table import by_version
from mljupyter.notebook.views.traffic import documents
from mljupyter.spec import EndpointRecord

_MEASURED = ("Requests", "Errors", "p50", "p95", "p99", "Waiting")
COLUMNS = ("Version", "Role", "Share", "Replicas", "State", *_MEASURED)
SINCE_SECONDS = 900.0
NOTHING = "-"
_OF_LATENCY = ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms")


def compared(workspace: Workspace, record: EndpointRecord) -> list[list[str]]:
    """Return the rows of a table with `COLUMNS`: the control first, then the treatments by name.

    Measurements are those of the last quarter of an hour.
    """
    measured = by_version(workspace.endpoints.metrics(record.spec.name, since=SINCE_SECONDS))
    rows = []
    for item in sorted(documents(record), key=lambda item: ("control" not in item["roles"], item["version"])):
        row = [item["version"], ", ".join(item["roles"]), f"{item['weight']} %", item["replicas"], item["state"]]
        rows.append([*row, *_measured(measured.get(item["version"]))])
    return rows


def _measured(row: Mapping[str, Any] | None) -> list[str]:
    if row is None or not row["requests"]:
        return ["0", *[NOTHING] * (len(_MEASURED) - 1)]
    latencies = [_milliseconds(row[key]) for key in _OF_LATENCY]
    errors = NOTHING if row["error_ratio"] is None else f"{100 * row['error_ratio']:.2g} %"
    return [str(row["requests"]), errors, *latencies, _milliseconds(row["wait_mean_ms"])]


def _milliseconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"
