from __future__ import annotations

import json
import re

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from mljupyter.telemetry.metrics.grafana import dashboard_text
from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.prometheus import Totals, VersionTotals, exposition
from mljupyter.telemetry.metrics.samples import Counts, Levels, Usage

AWKWARD = 'a"b\\c\nd'
COUNTS = Counts(
    requests=20, client_errors=1, server_errors=2, refused=3, timeouts=4, resets=5, retries=6, mirrored=7,
    bytes_in=8, bytes_out=9, started=10, runs=11, run_microseconds=12_500_000, wait_microseconds=13_000_000,
    streamed=4, first_byte_microseconds=500_000, latency=Histogram.of([0.5, 4, 4, 700]),
)  # fmt: skip


@pytest.fixture(scope="module")
def families() -> dict[str, Metric]:
    usage = Usage(1, "v1", "e-1", 0.5, 4096)
    version = VersionTotals("e", "v1", COUNTS, Levels(1, 2, 3, 2, 40), [usage], {"e-1": 6.5})
    other = VersionTotals(AWKWARD, "v2", Counts(), Levels())
    text = exposition(Totals([version, other], router_up=True, denied=21, sampled_time=1_795_000_000))
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(family: Metric, name: str, **labels: str) -> float:
    (found,) = [item.value for item in family.samples if item.name == name and item.labels == labels]
    return found


def test_a_parser_reads_every_metric_with_its_value(families: dict[str, Metric]) -> None:
    labels = {"endpoint": "e", "version": "v1"}
    expected = {
        "mljupyter_runs": 11, "mljupyter_run_seconds": 12.5, "mljupyter_requests_started": 10,
        "mljupyter_wait_seconds": 13, "mljupyter_router_retries": 6, "mljupyter_replica_resets": 5,
        "mljupyter_mirrored_requests": 7, "mljupyter_received_bytes": 8, "mljupyter_sent_bytes": 9,
    }  # fmt: skip
    for name, count in expected.items():
        assert families[name].type == "counter"
        assert value(families[name], f"{name}_total", **labels) == count
    levels = {"requests_running": 1, "requests_waiting": 2, "replicas_wanted": 3, "replicas_ready": 2}
    for name, level in {**levels, "traffic_weight_ratio": 0.4}.items():
        assert families[f"mljupyter_{name}"].type == "gauge"
        assert value(families[f"mljupyter_{name}"], f"mljupyter_{name}", **labels) == level
    replica = {**labels, "replica": "e-1"}
    assert value(families["mljupyter_replica_cpu_seconds"], "mljupyter_replica_cpu_seconds_total", **replica) == 6.5
    assert value(families["mljupyter_replica_memory_bytes"], "mljupyter_replica_memory_bytes", **replica) == 4096
    denied = families["mljupyter_router_unauthorized_requests"]
    assert value(denied, "mljupyter_router_unauthorized_requests_total") == 21


def test_results_are_apart_and_add_up_to_all_requests(families: dict[str, Metric]) -> None:
    found = {
        item.labels["result"]: item.value
        for item in families["mljupyter_requests"].samples
        if item.labels["endpoint"] == "e"
    }
    assert found == {"ok": 10, "client_error": 1, "server_error": 2, "refused": 3, "timeout": 4}


def test_times_to_the_first_byte_are_a_summary(families: dict[str, Metric]) -> None:
    family = families["mljupyter_first_byte_seconds"]
    assert family.type == "summary"
    labels = {"endpoint": "e", "version": "v1"}
    assert value(family, "mljupyter_first_byte_seconds_count", **labels) == 4
    assert value(family, "mljupyter_first_byte_seconds_sum", **labels) == 0.5


def test_latencies_are_a_histogram_in_seconds(families: dict[str, Metric]) -> None:
    family = families["mljupyter_request_duration_seconds"]
    assert family.type == "histogram"
    buckets = {
        item.labels["le"]: item.value
        for item in family.samples
        if item.name.endswith("_bucket") and item.labels["endpoint"] == "e"
    }
    bounds = [float(bound) for bound in buckets]
    assert bounds == sorted(bounds)
    assert bounds[-1] == float("inf")
    assert list(buckets.values()) == sorted(buckets.values())
    assert {buckets["0.001"], buckets["0.005"], buckets["0.5"], buckets["1"], buckets["+Inf"]} == {1, 3, 4}
    assert buckets["0.5"] == 3
    assert value(family, f"{family.name}_count", endpoint="e", version="v1") == 4
    assert value(family, f"{family.name}_sum", endpoint="e", version="v1") == pytest.approx(0.714, abs=0.006)


def test_labels_with_quotes_and_line_ends_are_read_as_they_are(families: dict[str, Metric]) -> None:
    endpoints = {item.labels["endpoint"] for item in families["mljupyter_replicas_ready"].samples}
    assert endpoints == {"e", AWKWARD}


def test_names_follow_the_conventions(families: dict[str, Metric]) -> None:
    for family in families.values():
        assert re.fullmatch(r"mljupyter_[a-z_]+", family.name)
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram", "summary")
        assert not re.search(r"_(ms|milliseconds|mb|percent)\b", family.name)


def test_the_dashboard_asks_for_metrics_and_labels_that_there_are(families: dict[str, Metric]) -> None:
    known = {item.name for family in families.values() for item in family.samples}
    labels = {label for family in families.values() for item in family.samples for label in item.labels}
    dashboard = json.loads(dashboard_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    assert all(re.search("mljupyter_", expression) for expression in expressions)
    queries = expressions + [variable["query"]["query"] for variable in dashboard["templating"]["list"]]
    for query in queries:
        assert set(re.findall(r"mljupyter_[a-z_]+", query)) <= known, query
        assert set(re.findall(r"([a-z_]+)(?:=~|!=|=)\"", query)) <= labels, query
        assert query.count("(") == query.count(")")
        for names in re.findall(r"(?:by|on) \(([a-z, ]+)\)", query):
            assert set(names.split(", ")) <= labels, query
    shown = set(re.findall(r"mljupyter_[a-z_]+", " ".join(expressions)))
    assert known - shown <= {"mljupyter_request_duration_seconds_count", "mljupyter_request_duration_seconds_sum"}
    legends = re.findall(r"\{\{(\w+)\}\}", dashboard_text())
    assert set(legends) <= labels


def test_panels_of_the_dashboard_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in json.loads(dashboard_text())["panels"]]
    cells = [(place["x"] + i, place["y"] + j) for place in places for i in range(place["w"]) for j in range(place["h"])]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
