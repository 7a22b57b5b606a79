"""Control against treatments: what the versions of an endpoint are, and what was measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mljupyter.core import Workspace
    from mljupyter.spec import EndpointRecord

COLUMNS = ("Version", "Role", "Share", "Replicas", "State")
MEASURED_COLUMNS = ("Requests", "Errors", "p50", "p95", "p99", "Waiting")
SINCE_SECONDS = 900.0
NOTHING = "-"


def compared(workspace: Workspace, record: EndpointRecord) -> tuple[list[str], list[list[str]]]:
    """Return columns and rows of a table: the control first, then the treatments by name.

    What was measured in the last quarter of an hour is there as far as this workspace measures.
    """
    from mljupyter.core.traffic import documents

    measured = measurements(workspace, record.spec.name)
    columns = [*COLUMNS, *(MEASURED_COLUMNS if measured is not None else ())]
    rows = []
    for item in sorted(documents(record), key=lambda item: ("control" not in item["roles"], item["version"])):
        row = [item["version"], ", ".join(item["roles"]), f"{item['weight']} %", item["replicas"], item["state"]]
        rows.append([*row, *(_measured(measured.get(item["version"])) if measured is not None else ())])
    return columns, rows


def measurements(workspace: Workspace, name: str) -> dict[str, Mapping[str, Any]] | None:
    """Return what was measured of each version, by version; None where nothing is measured."""
    ask = getattr(workspace.controller, "metrics", None)
    if ask is None:
        return None
    summary = ask(name, since=SINCE_SECONDS)["summary"]
    rows = [dict(zip(summary, values, strict=True)) for values in zip(*summary.values(), strict=True)]
    return {row["version"]: row for row in rows}


def _measured(row: Mapping[str, Any] | None) -> list[str]:
    if row is None or not row["requests"]:
        return ["0", *[NOTHING] * (len(MEASURED_COLUMNS) - 1)]
    latencies = [_milliseconds(row[f"latency_{name}_ms"]) for name in ("p50", "p95", "p99")]
    errors = NOTHING if row["error_ratio"] is None else f"{100 * row['error_ratio']:.2g} %"
    return [str(row["requests"]), errors, *latencies, _milliseconds(row["wait_mean_ms"])]


def _milliseconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g} ms" if value < 100 else f"{value:.0f} ms"
