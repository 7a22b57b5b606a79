"""The counters of several router pods together only grow, although pods come, go and restart."""

from __future__ import annotations

import time

from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.scaling.demand import Reading
from mljupyter.kubernetes.operator.router_counters import RouterCounters
from mljupyter.telemetry.metrics.router_statistics import Cluster, RouterStatistics
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
