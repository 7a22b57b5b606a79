"""What a comparison of versions says: the control first, differences in percent, verdicts only from enough requests."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.spec import EndpointRecord
from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.widgets.panels.comparison_data import comparison_of, verdict

CODE = {"digest": "sha256:" + "0" * 64, "entryScript": "score.py"}


def seen(p95: float, requests: int = 1000) -> dict[str, Any]:
    """Return metrics of a version whose latencies are even up to its p95, and a little above."""
    latencies = [p95 * 2 * (index + 0.5) / requests for index in range(requests)]
    histogram = Histogram.of(sorted(latencies)[: requests // 2] * 2)
    found = histogram.quantile(0.95)
    return {"requests": requests, "error_ratio": 0.01, "latency_p95_ms": found, "histogram": histogram}


SEEN = seen(100.0)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "p95 is about that of the control; no difference in errors."),
        (seen(104.0), "p95 is about that of the control; no difference in errors."),
        (seen(150.0), "p95 is slower than the control: 1.5× (1.5× to 1.5×); no difference in errors."),
        (seen(1100.0), "p95 is slower than the control: 11× (11× to 11×); no difference in errors."),
        (seen(75.0), "p95 is faster than the control: 0.75× (0.73× to 0.77×); no difference in errors."),
        ({"error_ratio": 0.015}, "p95 is about that of the control; no difference in errors."),
        ({"error_ratio": 0.05}, "p95 is about that of the control; more errors (5 % instead of 1 %)."),
        ({"error_ratio": 0.0}, "p95 is about that of the control; fewer errors (0 % instead of 1 %)."),
        ({"requests": 199}, "Too few requests to say: 199 of at least 200 in this time."),
        ({"requests": None}, "Too few requests to say: 0 of at least 200 in this time."),
        ({"latency_p95_ms": None}, "p95 is about that of the control; no difference in errors."),
    ],
)
def test_a_difference_counts_when_it_is_large_enough_and_no_chance(change: dict[str, Any], expected: str) -> None:
    assert verdict(SEEN, {**SEEN, **change}) == expected


def endpoint(**changed: Any) -> EndpointRecord:
    """Return an endpoint with the control ``green`` and the treatment ``blue``."""
    return EndpointRecord.parse(
        {
            "spec": {
                "name": "both",
                "kind": "AKSENDPOINT",
                "defaultVersion": "green",
                "controlVersion": "green",
                "versions": {name: {"code": CODE, "trafficPercentile": 50} for name in ("blue", "green")},
                "authentication": "key",
            },
            "status": {},
            "createdTime": "2026-01-01T00:00:00Z",
            "updatedTime": "2026-01-01T00:00:00Z",
            "generation": 1,
            "resourceVersion": 1,
            **changed,
        }
    )


def report(
    requests: int, milliseconds: tuple[float, float], errors: tuple[float, float] = (0.02, 0.0)
) -> dict[str, Any]:
    """Return metrics of ``blue`` and ``green`` with given latencies and shares of errors."""
    found = [Histogram.of([value] * requests) for value in milliseconds]
    keys = ("latency_p50_ms", "latency_p90_ms", "latency_p95_ms", "latency_p99_ms", "latency_p999_ms")
    summary = {key: list(milliseconds) for key in keys}
    others = ("traffic_observed", "requests_per_second", "cpu_cores", "memory_mb", "wait_mean_ms", "run_mean_ms")
    summary |= {key: [10.0, 1.0] for key in others}
    summary |= {"version": ["blue", "green"], "requests": [requests] * 2, "client_errors": [requests / 2, 0]}
    histograms = dict(zip(("blue", "green"), (item.rows() for item in found), strict=True))
    return {"summary": {**summary, "error_ratio": list(errors)}, "histograms": histograms}


def test_the_control_is_first_and_the_others_are_measured_against_it() -> None:
    found = comparison_of(endpoint(), report(300, (30.0, 20.0)))
    assert [(item["version"], item["role"]) for item in found["versions"]] == [
        ("green", "control"),
        ("blue", "treatment"),
    ]
    rows = {row["label"]: row for row in found["rows"]}
    assert (rows["Latency p95"]["values"], rows["Latency p95"]["changes"]) == ([20.0, 30.0], ["1.5× (1.5× to 1.5×)"])
    assert rows["Latency p95"]["tones"] == ["worse"]
    assert rows["Latency p95"]["intervals"] == ["21 to 21", "31 to 31"]
    assert rows["Errors (5xx)"]["values"] == [0.0, 2.0]
    assert rows["Errors (5xx)"]["changes"] == [""], "there is no ratio to no errors"
    assert rows["Errors (5xx)"]["tones"] == ["worse"]
    assert rows["Errors (5xx)"]["intervals"][1] == "0.92 to 4.3"
    assert rows["Client errors (4xx)"]["values"] == [0.0, 50.0]
    assert rows["Client errors (4xx)"]["tones"] == [], "a bad client does not make a version worse"
    assert [item["version"] for item in found["verdicts"]] == ["blue"]


def test_before_there_is_evidence_nothing_is_better_or_worse_and_there_is_no_ratio() -> None:
    found = comparison_of(endpoint(), report(55, (220.0, 20.0), (0.5, 0.0)))
    assert found["verdicts"][0]["text"].startswith("Too few requests to say: 55 of")
    assert all(not any(row["changes"] + row["tones"]) for row in found["rows"])


def test_a_percentile_with_too_few_requests_above_it_is_neither_better_nor_worse() -> None:
    rows = {row["label"]: row for row in comparison_of(endpoint(), report(300, (220.0, 20.0)))["rows"]}
    assert (rows["Latency p90"]["changes"], rows["Latency p90"]["tones"]) == (["11× (11× to 11×)"], ["worse"])
    assert (rows["Latency p99"]["changes"], rows["Latency p99"]["tones"]) == (["11×"], [""])
    assert rows["Latency p99"]["intervals"] == ["", ""]
    assert (rows["Waiting, mean"]["changes"], rows["Waiting, mean"]["tones"]) == (["10×"], [""])
