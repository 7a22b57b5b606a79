"""What the monitor says of an endpoint, its numbers, and the router of a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from mljupyter.notebook.views.metrics_table import measured
from mljupyter.spec import RouterStep, ScalingDecision
from mljupyter.spec.history import HistoryEntry
from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.widgets.panels.colours import hue_of
from mljupyter.widgets.panels.comparison_data import comparison_of
from mljupyter.widgets.panels.monitor_data import (
    histogram_of,
    levels_of,
    marks_of,
    router_of,
    status_of,
    summary_of,
    usage_of,
)
from tests.core.test_router_size import OUT, SIZE, UP
from tests.widgets.test_comparison_data import endpoint

NO_ROOM = OUT.model_copy(update={"step": RouterStep.NO_ROOM, "pods_after": 3, "cpu_before": 1, "reason": "no node"})


def test_the_size_is_that_of_the_command_line_and_decisions_have_the_newest_first() -> None:
    shown = router_of(SIZE)
    assert shown["fields"][0] == ["Pods", "3/4, 1 cores each"]
    assert [one["words"] for one in shown["decisions"]] == [
        ["Out", "3 → 4 pods", "routing is slow"],
        ["Up", "0.5 → 1 cores", "routing is slow"],
    ]
    assert shown["decisions"][0]["time"] == OUT.time.timestamp()


def test_a_table_of_metrics_has_the_router_of_the_cluster_below_it() -> None:
    target = SimpleNamespace(router_size=lambda: SIZE)
    record = endpoint()
    endpoints = SimpleNamespace(
        endpoint=lambda name: record, metrics=lambda name, since: {"summary": {"version": ["blue"]}}
    )
    workspace = SimpleNamespace(endpoints=endpoints, context=SimpleNamespace(target=lambda name: target))
    service: Any = SimpleNamespace(name="both", workspace=workspace)
    table = measured([service, service], 60)
    said = table.text().splitlines()[-1]
    assert said.startswith("Router of local: Pods 3/4, 1 cores each; Self-scaling 3 to ")
    assert table.text().count("Router of") == 1
    assert "Router of local" in table.html()
    target.router_size = lambda: None
    assert "Router" not in measured([service], 60).text()


def test_the_three_newest_decisions_are_shown_and_one_that_changes_nothing_has_no_change() -> None:
    shown = router_of(SIZE.model_copy(update={"decisions": [UP, UP, OUT, NO_ROOM]}))
    assert [one["words"][:2] for one in shown["decisions"]] == [
        ["NoRoom", ""],
        ["Out", "3 → 4 pods"],
        ["Up", "0.5 → 1 cores"],
    ]


def test_without_self_scaling_there_are_no_decisions() -> None:
    shown = router_of(SIZE.model_copy(update={"settings": None, "decisions": []}))
    assert shown["decisions"] == []
    assert dict(shown["fields"])["Self-scaling"].startswith("off")


def seconds(times: range, requests: int, busy: float = 0.5) -> dict[str, list[Any]]:
    """Return metrics of the version ``v1``, one row for each second."""
    count = len(times)
    return {
        "time": list(times),
        "version": ["v1"] * count,
        "seconds": [1.0] * count,
        "requests": [requests] * count,
        "busy_mean": [busy] * count,
    }


def summary(**changed: Any) -> dict[str, list[Any]]:
    """Return a summary of the version ``v1``."""
    return {"version": ["v1"], "requests": [60], "client_errors": [6], "requests_per_second": [1.0], **changed}


def test_rates_are_those_of_the_last_ten_seconds_from_the_first_second_on() -> None:
    idle, load = seconds(range(100, 155), 0, 0.0), seconds(range(155, 160), 20)
    columns = {name: idle[name] + load[name] for name in idle}
    seen = summary_of({"versions": columns, "summary": summary()})["v1"]
    assert (seen["requests_per_second"], seen["busy_mean"]) == (10.0, 0.25), "not 1.67, the mean of the minute"
    begun = summary_of({"versions": seconds(range(155, 158), 20), "summary": summary()})["v1"]
    assert begun["requests_per_second"] == 20.0


def test_client_errors_are_a_share_of_their_own() -> None:
    found = summary_of({"versions": seconds(range(1), 1), "summary": summary(error_ratio=[0.0])})["v1"]
    assert (found["client_error_ratio"], found["error_ratio"]) == (0.1, 0.0)


def test_the_histogram_has_a_share_for_each_part_up_to_the_slowest() -> None:
    rows = Histogram.of([0, 0, 3, 30_000]).rows()
    found = histogram_of({"summary": summary(), "histograms": {"v1": rows}})
    assert found == {"v1": [50.0, 0.0, 25.0, *[0.0] * 10, 25.0]}
    assert histogram_of({"summary": summary(), "histograms": {"v1": []}}) == {}


def test_deployments_traffic_changes_and_scale_decisions_are_marked() -> None:
    digest = "sha256:" + "0" * 64

    def entry(number: int, action: str, shares: dict[str, int], cores: float = 1) -> HistoryEntry:
        code = {"code": {"digest": digest, "entryScript": "score.py"}, "resources": {"cpu": cores}}
        versions = {name: {**code, "trafficPercentile": share} for name, share in shares.items()}
        spec = {"name": "both", "kind": "AKSENDPOINT", "defaultVersion": "blue", "authentication": "key"}
        return HistoryEntry.parse(
            {
                "number": number,
                "time": f"2026-01-01T00:00:0{number}Z",
                "user": "ada",
                "action": action,
                "spec": {**spec, "versions": versions},
            }
        )

    entries = [
        entry(1, "created", {"blue": 100}),
        entry(2, "version green added", {"blue": 100, "green": 0}),
        entry(4, "traffic", {"blue": 70, "green": 30}),
        entry(5, "updated", {"blue": 70, "green": 30}, cores=2),
    ]
    decision = ScalingDecision.model_construct(
        time=datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC), version="blue", before=1, after=2
    )
    marks = marks_of(entries, [decision])
    assert [(mark["label"], mark["dash"]) for mark in marks] == [
        ("created", 0),
        ("version green added", 0),
        ("blue scaled 1 → 2", 2),
        ("blue 70 %, green 30 %", 1),
        ("updated", 0),
    ]


def test_a_version_has_the_colour_of_its_place_by_name_as_in_the_figures() -> None:
    record = endpoint()
    assert [hue_of(record, name) for name in ("blue", "green")] == [0, 1]
    assert {item["version"]: item["hue"] for item in status_of(record, {})["versions"]} == {"blue": 0, "green": 1}
    compared = comparison_of(record, {"summary": {"version": []}})
    assert {item["version"]: item["hue"] for item in compared["versions"]} == {"blue": 0, "green": 1}


def test_the_guard_of_a_rollout_is_drawn_where_it_is_measured() -> None:
    plan = {"version": "blue", "steps": [10, 50], "everySeconds": 60, "guard": "p95<200ms, errors<1%"}
    now = "2026-01-01T00:00:00Z"
    record = endpoint(rollout={"plan": plan, "stepTime": now, "startedTime": now})
    levels = levels_of(record)
    assert levels["latency"] == [{"name": "guard p95<200ms", "value": 200.0}]
    assert levels["errors"] == [{"name": "guard errors<1%", "value": 1.0}]
    over = endpoint(rollout={"plan": plan, "stepTime": now, "startedTime": now, "phase": "Completed"})
    assert levels_of(over)["latency"] == []


def test_a_replica_has_its_last_cpu_memory_and_gpus_and_an_earlier_release_measured_no_gpus() -> None:
    columns = {"replica": ["a", "b", "a"], "cpu_cores": [0.1, 0.2, 0.3], "memory_mb": [10.0, 20.0, 30.0]}
    gpus = {"gpu_percent": [None, None, 87.5], "gpu_memory_mb": [None, None, 2100.0]}
    assert usage_of({"replicas": columns | gpus}) == {"a": (0.3, 30.0, 87.5, 2100.0), "b": (0.2, 20.0, None, None)}
    assert usage_of({"replicas": columns}) == {"a": (0.3, 30.0, None, None), "b": (0.2, 20.0, None, None)}
