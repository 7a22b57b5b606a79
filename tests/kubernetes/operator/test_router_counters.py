"""The counters of several router pods together only grow, although pods come, go and restart."""

from __future__ import annotations

import json
import time

import pytest

from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.scaling.demand import Reading
from mljupyter.engine.scaling.router_scaler import routing_time
from mljupyter.kubernetes.operator.router_counters import LoadMeter, MeanLoad, RouterCounters
from mljupyter.kubernetes.operator.router_pod import RouterLoad
from mljupyter.telemetry.metrics.router_statistics import Cluster, RouterStatistics, parse
from mljupyter.telemetry.metrics.samples import Counts


def statistics(requests: int, active: int = 0, denied: int = 0) -> RouterStatistics:
    return RouterStatistics({"iris.one": Cluster(Counts(requests=requests), active)}, denied)


def test_requests_of_all_routers_count() -> None:
    found = RouterCounters().statistics([("a", statistics(5, active=1, denied=2)), ("b", statistics(7, active=2))])
    assert found.clusters["iris.one"].counts.requests == 12
    assert found.clusters["iris.one"].active == 3
    assert found.denied == 2


def test_a_router_that_goes_takes_no_counts_away() -> None:
    counters = RouterCounters()
    counters.statistics([("a", statistics(5)), ("b", statistics(7))])
    assert counters.statistics([("b", statistics(9))]).clusters["iris.one"].counts.requests == 14


def test_a_router_that_restarts_counts_from_zero() -> None:
    counters = RouterCounters()
    counters.statistics([("a/1", statistics(5))])
    assert counters.statistics([("a/2", statistics(3))]).clusters["iris.one"].counts.requests == 8


def test_the_counts_of_a_rollout_are_those_of_all_routers() -> None:
    counters = RouterCounters()
    latencies = {(1.0, 1.0): 4}
    first = [("a", RequestCounts(4, 1, latencies)), ("b", RequestCounts(6, 0, {}))]
    assert counters.counts("iris.one", first) == RequestCounts(10, 1, latencies)
    assert counters.counts("iris.one", [("a", RequestCounts(5, 1, latencies))]).requests == 11


def test_the_demand_is_the_sum_and_finished_requests_only_grow() -> None:
    counters = RouterCounters()
    now = time.monotonic()
    one = Reading(now, 2, finished=((0.1, 10), (0.2, 12)), seconds=1.5)
    other = Reading(now, 1, again=3, finished=((0.1, 5), (0.2, 5)), seconds=0.5)
    found = counters.demand([("a", {"iris.one": one}), ("b", {"iris.one": other})])["iris.one"]
    assert (found.active, found.again, found.count, found.seconds) == (3, 3, 17, 2.0)
    later = counters.demand([("a", {"iris.one": one})])["iris.one"]
    assert (later.active, later.count, later.seconds) == (2, 17, 2.0)


def test_the_load_is_that_between_two_readings_of_the_same_pods() -> None:
    meter = LoadMeter()
    assert meter.measure([("a", RouterLoad(10, 5.0, {0.001: 100})), ("b", RouterLoad(10, 1.0, {}))]) is None
    load = meter.measure(
        [
            ("a", RouterLoad(20, 8.0, {0.001: 1100, 0.002: 500})),
            ("b", RouterLoad(20, 2.0, {0.001: 1000})),
            ("c", RouterLoad(20, 90.0, {0.001: 1_000_000})),
        ]
    )
    assert load is not None
    assert load.cores == pytest.approx(0.2)
    assert load.routing == pytest.approx(routing_time([(0.001, 2000), (0.002, 500)], 20.0))


def test_a_router_without_requests_has_no_time_to_route() -> None:
    meter = LoadMeter()
    meter.measure([("a", RouterLoad(10, 5.0, {0.001: 100}))])
    assert meter.measure([("a", RouterLoad(20, 5.1, {0.001: 100}))]) == MeanLoad(pytest.approx(0.01), None)


@pytest.mark.parametrize("second", [("a/2", RouterLoad(20, 0.1, {})), ("a/1", RouterLoad(20, 0.1, {}))])
def test_a_pod_that_has_started_again_is_measured_from_its_second_reading_on(second: tuple[str, RouterLoad]) -> None:
    meter = LoadMeter()
    meter.measure([("a/1", RouterLoad(10, 5.0, {0.001: 100}))])
    assert meter.measure([second]) is None
    assert meter.measure([(second[0], RouterLoad(30, 1.1, {}))]) == MeanLoad(pytest.approx(0.1), None)


def test_a_new_router_without_counts_of_a_version_takes_none_away() -> None:
    counters = RouterCounters()
    counters.statistics([("a", statistics(5, active=1))])
    found = counters.statistics([("b", RouterStatistics({}))]).clusters["iris.one"]
    assert (found.counts.requests, found.active) == (5, 0)
    assert counters.statistics([("b", statistics(2))]).clusters["iris.one"].counts.requests == 7


def test_only_versions_with_changes_are_added_up() -> None:
    counters = RouterCounters()
    clusters = {f"endpoint-{index}.one": Cluster(Counts(requests=index)) for index in range(1000)}
    first, other = RouterStatistics(clusters), RouterStatistics(clusters)
    before = counters.statistics([("a", first), ("b", other)])
    assert counters.clusters_added_up == 1000
    assert counters.statistics([("a", first), ("b", other)]) is before
    assert counters.clusters_added_up == 1000
    changed = RouterStatistics({**clusters, "endpoint-5.one": Cluster(Counts(requests=7), active=2)}, denied=1)
    after = counters.statistics([("a", changed), ("b", other)])
    assert counters.clusters_added_up == 1001
    assert (after.clusters["endpoint-5.one"].counts.requests, after.denied) == (12, 1)
    assert after.clusters["endpoint-6.one"] is before.clusters["endpoint-6.one"]


def test_a_version_with_the_name_of_a_removed_one_counts_from_zero() -> None:
    counters = RouterCounters()
    counters.statistics([("a", statistics(5))])
    counters.forget("iris.one")
    assert counters.statistics([("a", statistics(5))]).clusters["iris.one"].counts.requests == 0
    counters.statistics([("a", RouterStatistics({}))])
    assert counters.statistics([("a", statistics(2))]).clusters["iris.one"].counts.requests == 2


def answered(requests: int, answers: Counts) -> RouterStatistics:
    return RouterStatistics({"iris.one": Cluster(Counts(requests=requests, retries=requests), answers=answers)})


def test_the_answers_of_routers_count_also_beside_one_of_an_earlier_release() -> None:
    counters = RouterCounters()
    counters.statistics([("a", answered(3, Counts(requests=5, client_errors=2))), ("old", statistics(7))])
    found = counters.statistics([("a", answered(4, Counts(requests=8, client_errors=4))), ("old", statistics(8))])
    counts = found.clusters["iris.one"].counts
    assert (counts.requests, counts.client_errors, counts.retries) == (16, 4, 4)


def test_answers_that_a_router_goes_on_counting_are_not_those_of_the_next_cluster_of_their_name() -> None:
    counters = RouterCounters()
    counters.statistics([("a", answered(3, Counts(requests=5)))])
    counters.forget("iris.one")
    found = counters.statistics([("a", answered(1, Counts(requests=6)))])
    assert found.clusters["iris.one"].counts.requests == 1


def test_an_operator_that_starts_again_does_not_count_what_the_one_before_has() -> None:
    counters = RouterCounters()
    begun = counters.begin([("a", statistics(5, active=1, denied=2)), ("b", answered(3, Counts(requests=4)))])
    assert (begun.clusters["iris.one"].counts, begun.clusters["iris.one"].active, begun.denied) == (Counts(), 1, 0)
    found = counters.statistics([("a", statistics(7, denied=3)), ("b", answered(3, Counts(requests=5)))])
    assert (found.clusters["iris.one"].counts.requests, found.denied) == (3, 1)


def test_copies_to_a_mirror_count_for_all_routers() -> None:
    def copies(requests: int) -> RouterStatistics:
        return parse(
            json.dumps(
                {"stats": [{"name": "cluster.iris.one.mirror.upstream_rq_completed", "value": requests}]}
            ).encode()
        )

    found = RouterCounters().statistics([("a", copies(2)), ("b", copies(3))])
    assert found.clusters["iris.one.mirror"].counts.requests == 5
