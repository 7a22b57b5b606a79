"""Data of the version comparison: metrics of each version, differences, and a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.notebook.views.metrics_table import by_version
from mljupyter.spec import EndpointRecord

ENOUGH_REQUESTS = 200
"""With fewer requests, p95 would depend on fewer than ten of them."""
_NOTABLE = 0.05
_SIGMAS = 2.0


@dataclass(frozen=True)
class Measure:
    """A row of the comparison: a column of the metrics, its label and unit, and whether less is better."""

    key: str
    label: str
    unit: str = ""
    factor: float = 1.0
    less_is_better: bool = False


MEASURES = (
    Measure("traffic_observed", "Share of the requests", "%"),
    Measure("requests", "Requests"),
    Measure("requests_per_second", "Requests per second"),
    Measure("error_ratio", "Errors", "%", 100, less_is_better=True),
    Measure("client_errors", "Mistakes of clients (4xx)"),
    Measure("latency_p50_ms", "Latency p50", "ms", less_is_better=True),
    Measure("latency_p90_ms", "Latency p90", "ms", less_is_better=True),
    Measure("latency_p95_ms", "Latency p95", "ms", less_is_better=True),
    Measure("latency_p99_ms", "Latency p99", "ms", less_is_better=True),
    Measure("wait_mean_ms", "Waiting, mean", "ms", less_is_better=True),
    Measure("run_mean_ms", "Running, mean", "ms", less_is_better=True),
    Measure("cpu_cores", "CPU of all replicas", "cores"),
    Measure("memory_mb", "Memory of all replicas", "MB"),
)
PERCENTILES = ("p50", "p90", "p95", "p99", "p999")


def comparison_of(record: EndpointRecord, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison, the control version first.

    Parameters:
        record: the endpoint.
        report: its metrics over the period.

    Returns:
        ``versions`` with name, role and replicas; ``rows`` with label, unit, a value for each version and, for those
        that are not the control, the difference to it in percent and whether that is ``better`` or ``worse``;
        ``verdicts``, a sentence for each treatment; ``percentiles``, milliseconds by version.

    """
    found = by_version(report)
    spec = record.spec
    names = sorted(spec.versions, key=lambda name: (name != spec.control, name))
    measured = [found.get(name, {}) for name in names]
    return {
        "versions": [
            {
                "version": name,
                "role": "control" if name == spec.control else "treatment",
                "replicas": _replicas(record, name),
            }
            for name in names
        ],
        "rows": [_row(measure, measured) for measure in MEASURES],
        "verdicts": [
            {"version": name, "text": verdict(measured[0], other)}
            for name, other in zip(names[1:], measured[1:], strict=True)
        ],
        "percentiles": {
            name: [seen.get(f"latency_{part}_ms") for part in PERCENTILES]
            for name, seen in zip(names, measured, strict=True)
        },
    }


def verdict(control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    """Return a sentence about the differences between two versions.

    Parameters:
        control, treatment: the metrics of each: ``requests``, ``error_ratio``, ``latency_p95_ms``.

    Example:
        >>> fast = {"requests": 900, "error_ratio": 0.0, "latency_p95_ms": 20.0}
        >>> verdict(fast, {**fast, "latency_p95_ms": 30.0})
        'p95 is 50 % slower than the control; no difference in errors.'

    """
    fewest = min(control.get("requests") or 0, treatment.get("requests") or 0)
    if fewest < ENOUGH_REQUESTS:
        return f"Too few requests to say: {fewest:.0f} of at least {ENOUGH_REQUESTS} in this time."
    return f"{_latency(control, treatment)}; {_errors(control, treatment)}."


def _latency(control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    change = _change(control.get("latency_p95_ms"), treatment.get("latency_p95_ms"))
    if change is None or abs(change) < _NOTABLE:
        return "p95 is about that of the control"
    return f"p95 is {abs(100 * change):.0f} % {'slower' if change > 0 else 'faster'} than the control"


def _errors(control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    """Return whether errors differ significantly: by two standard deviations."""
    first, second = control.get("error_ratio") or 0.0, treatment.get("error_ratio") or 0.0
    many, more = control["requests"], treatment["requests"]
    pooled = (first * many + second * more) / (many + more)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / many + 1 / more))
    if deviation == 0 or abs(second - first) < _SIGMAS * deviation:
        return "no difference in errors"
    return f"{'more' if second > first else 'fewer'} errors ({100 * second:.2g} % instead of {100 * first:.2g} %)"


def _row(measure: Measure, measured: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [seen.get(measure.key) for seen in measured]
    changes = [_change(values[0], value) for value in values] if measure.less_is_better and values else []
    return {
        "label": measure.label,
        "unit": measure.unit,
        "values": [None if value is None else value * measure.factor for value in values],
        "changes": [None if change is None else round(100 * change, 1) for change in changes[1:]],
        "tones": [_tone(change) for change in changes[1:]],
    }


def _tone(change: float | None) -> str:
    if change is None or abs(change) < _NOTABLE:
        return ""
    return "worse" if change > 0 else "better"


def _change(before: float | None, after: float | None) -> float | None:
    return (after - before) / before if before and after is not None else None


def _replicas(record: EndpointRecord, version: str) -> str:
    status = record.status.versions.get(version)
    return f"{status.replicas_ready}/{status.replicas_wanted}" if status is not None else "0/0"
