"""What a comparison of versions says: the control first, differences in percent, verdicts only from enough requests."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.spec import EndpointRecord
from mljupyter.widgets.panels.comparison_data import comparison_of, verdict

CODE = {"digest": "sha256:" + "0" * 64, "entryScript": "score.py"}
SEEN = {"requests": 1000, "error_ratio": 0.01, "latency_p95_ms": 100.0}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "p95 is about that of the control; no difference in errors."),
        ({"latency_p95_ms": 104.0}, "p95 is about that of the control; no difference in errors."),
        ({"latency_p95_ms": 150.0}, "p95 is 50 % slower than the control; no difference in errors."),
        ({"latency_p95_ms": 75.0}, "p95 is 25 % faster than the control; no difference in errors."),
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


def test_the_control_is_first_and_the_others_are_measured_against_it() -> None:
    record = EndpointRecord.parse(
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
        }
    )
    keys = ("latency_p50_ms", "latency_p90_ms", "latency_p99_ms", "latency_p999_ms", "wait_mean_ms", "run_mean_ms")
    columns = {key: [10.0, 10.0] for key in keys}
    columns |= {key: [1.0, 1.0] for key in ("traffic_observed", "requests_per_second", "cpu_cores", "memory_mb")}
    summary = {"version": ["blue", "green"], "requests": [300, 300], "error_ratio": [0.02, 0.0]}
    found = comparison_of(record, {"summary": {**summary, **columns, "latency_p95_ms": [30.0, 20.0]}})
    assert [(item["version"], item["role"]) for item in found["versions"]] == [
        ("green", "control"),
        ("blue", "treatment"),
    ]
    rows = {row["label"]: row for row in found["rows"]}
    assert (rows["Latency p95"]["values"], rows["Latency p95"]["changes"]) == ([20.0, 30.0], [50.0])
    assert rows["Latency p95"]["tones"] == ["worse"]
    assert rows["Errors"]["values"] == [0.0, 2.0]
    assert rows["Errors"]["changes"] == [None], "nothing is so many percent more than no errors"
    assert [item["version"] for item in found["verdicts"]] == ["blue"]
