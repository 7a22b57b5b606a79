"""Data of the version comparison: metrics of each version, differences, and a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.notebook.views.metrics_table import by_version
from mljupyter.spec import EndpointRecord
from mljupyter.telemetry.metrics.confidence import (
    Interval,
    quantile_interval,
    ratio_interval,
    share_interval,
    shares_differ,
)
from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.report import PERCENTILES
from mljupyter.widgets.panels.colours import hue_of

ENOUGH_REQUESTS = 200
"""With fewer requests, p95 would depend on fewer than ten of them."""
_NOTABLE = 0.05


@dataclass(frozen=True)
class Measure:
    """A row of the comparison: a column of the metrics, its label and unit, and whether less is better.

    A share of the requests or a percentile of the latency has a confidence interval, and can be better or worse.
    """

    key: str
    label: str
    unit: str = ""
    factor: float = 1.0
    less_is_better: bool = False


MEASURES = (
    Measure("traffic_observed", "Share of the requests", "%"),
    Measure("requests", "Requests"),
    Measure("requests_per_second", "Requests per second"),
    Measure("error_ratio", "Errors (5xx)", "%", 100, less_is_better=True),
    Measure("client_error_ratio", "Client errors (4xx)", "%", 100),
    Measure("latency_p50_ms", "Latency p50", "ms", less_is_better=True),
    Measure("latency_p90_ms", "Latency p90", "ms", less_is_better=True),
    Measure("latency_p95_ms", "Latency p95", "ms", less_is_better=True),
    Measure("latency_p99_ms", "Latency p99", "ms", less_is_better=True),
    Measure("wait_mean_ms", "Waiting, mean", "ms", less_is_better=True),
    Measure("run_mean_ms", "Running, mean", "ms", less_is_better=True),
    Measure("cpu_cores", "CPU of all replicas", "cores"),
    Measure("memory_mb", "Memory of all replicas", "MB"),
)
_LATENCIES = {f"latency_{name}_ms": share for name, share in PERCENTILES.items()}


def comparison_of(record: EndpointRecord, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the comparison, the control version first.

    Parameters:
        record: the endpoint.
        report: its metrics over the period.

    Returns:
        ``versions`` with name, role and replicas; ``rows`` with label, unit, a value and an interval for each version
        and, for those that are not the control, the ratio to it as text and, once there is evidence, whether that is
        ``better`` or ``worse``; ``verdicts``, a sentence for each treatment; ``percentiles``, milliseconds by version.

    """
    spec = record.spec
    names = sorted(spec.versions, key=lambda name: (name != spec.control, name))
    measured = measured_of(report)
    each = [measured.get(name, {}) for name in names]
    return {
        "versions": [
            {
                "version": name,
                "hue": hue_of(record, name),
                "role": "control" if name == spec.control else "treatment",
                "replicas": _replicas(record, name),
            }
            for name in names
        ],
        "rows": [_row(measure, each) for measure in MEASURES],
        "verdicts": [
            {"version": name, "text": verdict(each[0], other)} for name, other in zip(names[1:], each[1:], strict=True)
        ],
        "percentiles": {name: [seen.get(key) for key in _LATENCIES] for name, seen in zip(names, each, strict=True)},
    }


def measured_of(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the metrics of each version over the period of a report, with its ``histogram`` of latencies."""
    histograms = report.get("histograms", {})
    return {
        version: {
            **seen,
            "client_error_ratio": _share(seen.get("client_errors"), seen.get("requests")),
            "histogram": Histogram.of_rows(histograms.get(version, ())),
        }
        for version, seen in by_version(report).items()
    }


def verdict(control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    """Return a sentence about the differences between two versions.

    Parameters:
        control, treatment: the metrics of each: ``requests``, ``error_ratio``, ``latency_p95_ms``, ``histogram``.

    Example:
        >>> slow, slower = Histogram.of([20] * 900), Histogram.of([30] * 900)
        >>> fast = {"requests": 900, "error_ratio": 0.0, "latency_p95_ms": 20.0, "histogram": slow}
        >>> verdict(fast, {**fast, "latency_p95_ms": 30.0, "histogram": slower})
        'p95 is slower than the control: 1.5× (1.5× to 1.5×); no difference in errors.'

    """
    if not _are_enough(control, treatment):
        fewest = min(control.get("requests") or 0, treatment.get("requests") or 0)
        return f"Too few requests to say: {fewest:.0f} of at least {ENOUGH_REQUESTS} in this time."
    return f"{_latency(control, treatment)}; {_errors(control, treatment)}."


def ratio_text(ratio: float) -> str:
    """Return a ratio with two digits.

    Example:
        >>> ratio_text(11.02), ratio_text(0.754), ratio_text(1.0), ratio_text(182.0)
        ('11×', '0.75×', '1×', '182×')

    """
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.2g}×"


def _are_enough(control: Mapping[str, Any], treatment: Mapping[str, Any]) -> bool:
    return min(control.get("requests") or 0, treatment.get("requests") or 0) >= ENOUGH_REQUESTS


def _latency(control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    tone = _tone("latency_p95_ms", control, treatment)
    ratio = _share(treatment.get("latency_p95_ms"), control.get("latency_p95_ms"))
    if not tone or ratio is None:
        is_about = ratio is None or abs(ratio - 1) < _NOTABLE
        return "p95 is about that of the control" if is_about else "no clear difference in p95"
    found = _ratio(ratio, "latency_p95_ms", control, treatment)
    return f"p95 is {'slower' if tone == 'worse' else 'faster'} than the control: {found}"


def _errors(control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    tone = _tone("error_ratio", control, treatment)
    if not tone:
        return "no difference in errors"
    first, second = control.get("error_ratio") or 0.0, treatment.get("error_ratio") or 0.0
    return f"{'more' if tone == 'worse' else 'fewer'} errors ({100 * second:.2g} % instead of {100 * first:.2g} %)"


def _row(measure: Measure, each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    values = [seen.get(measure.key) for seen in each]
    treatments = each[1:] if measure.less_is_better else []
    return {
        "label": measure.label,
        "unit": measure.unit,
        "values": [None if value is None else value * measure.factor for value in values],
        "intervals": [_interval_text(_interval(measure.key, seen), measure.factor) for seen in each],
        "changes": [_change(measure.key, each[0], seen) for seen in treatments],
        "tones": [_tone(measure.key, each[0], seen) for seen in treatments],
    }


def _change(key: str, control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    """Return the ratio to the control with its interval; nothing before both have answered enough requests."""
    ratio = _share(treatment.get(key), control.get(key))
    return _ratio(ratio, key, control, treatment) if ratio is not None and _are_enough(control, treatment) else ""


def _ratio(ratio: float, key: str, control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    between = ratio_interval(_interval(key, control), _interval(key, treatment))
    return ratio_text(ratio) + (f" ({ratio_text(between[0])} to {ratio_text(between[1])})" if between else "")


def _tone(key: str, control: Mapping[str, Any], treatment: Mapping[str, Any]) -> str:
    """Return ``better`` or ``worse`` where the difference is notable and more than chance; else the empty text."""
    first, second = control.get(key), treatment.get(key)
    if not _are_enough(control, treatment) or first is None or second is None or abs(second - first) < _NOTABLE * first:
        return ""
    if key == "error_ratio":
        differs = shares_differ(first, control["requests"], second, treatment["requests"])
    else:
        before, after = _interval(key, control), _interval(key, treatment)
        differs = before is not None and after is not None and (before[1] < after[0] or after[1] < before[0])
    return ("worse" if second > first else "better") if differs else ""


def _interval(key: str, seen: Mapping[str, Any]) -> Interval | None:
    """Return the confidence interval of a share of the requests or of a percentile; None of another measure."""
    if key.endswith("error_ratio"):
        requests = seen.get("requests") or 0
        return share_interval((seen.get(key) or 0.0) * requests, requests)
    share = _LATENCIES.get(key)
    return None if share is None else quantile_interval(seen.get("histogram", Histogram()), share)


def _interval_text(between: Interval | None, factor: float) -> str:
    if between is None:
        return ""
    low, high = (f"{end:.0f}" if end >= 10 else f"{end:.2g}" for end in (between[0] * factor, between[1] * factor))
    return f"{low} to {high}"


def _share(part: float | None, whole: float | None) -> float | None:
    return part / whole if whole and part is not None else None


def _replicas(record: EndpointRecord, version: str) -> str:
    status = record.status.versions.get(version)
    return f"{status.replicas_ready}/{status.replicas_wanted}" if status is not None else "0/0"
