"""The autoscaling policy: a table of situations, properties, and whole loads played through it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.scaling.autoscaling import Sample, decide, replicas_needed
from mljupyter.engine.scaling.window import Samples
from mljupyter.spec import AutoscalePolicy

POLICY = AutoscalePolicy(min_replicas=1, max_replicas=10)


def steady(demand: float, until: float, since: float = 0.0) -> list[Sample]:
    return [Sample(second, demand) for second in range(int(since), int(until) + 1)]


@pytest.mark.parametrize(
    ("rps", "seconds", "concurrent", "utilization", "expected"),
    [(20, 10, 1, 0.7, 286), (0, 1, 1, 0.7, 1), (7, 0.1, 1, 0.7, 1), (7, 1, 1, 0.7, 10), (100, 0.1, 10, 1.0, 1)],
)
def test_the_documented_formula(rps, seconds, concurrent, utilization, expected) -> None:
    assert replicas_needed(rps, seconds, concurrent, utilization) == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-1, 1), "target_rps is -1: it must be a number from 0"),
        ((1, -1), "request_time is -1: it must be a number from 0"),
        ((float("nan"), 1), "target_rps is nan: it must be a number from 0"),
        ((1, 1, 0), "max_concurrent is 0: it must be a number from 1"),
        ((1, 1, 1, 0), "utilization is 0: it must be a number above 0 and at most 1"),
        ((1, 1, 1, 1.1), "utilization is 1.1: it must be a number above 0 and at most 1"),
    ],
)
def test_the_formula_names_the_one_value_out_of_its_range(values, message) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replicas_needed(*values)


@pytest.mark.parametrize(
    ("samples", "current", "expected"),
    [
        ([Sample(100, 5)], 1, 8),
        ([Sample(100, 100)], 1, 10),
        ([Sample(99, 5), Sample(100, 0)], 1, 8),
        ([Sample(90, 50), Sample(100, 0)], 2, 2),
        (steady(0, 100), 8, 4),
        (steady(0, 100), 1, 1),
        (steady(2, 100), 8, 4),
        (steady(1.9, 100), 4, 3),
        (steady(2, 100), 4, 4),
        ([Sample(100, 2.2)], 3, 3),
        ([Sample(100, 2.4)], 3, 4),
        ([Sample(50, 5), *steady(0, 100, 60)], 8, 8),
        ([], 3, 3),
    ],
)
def test_up_at_once_down_after_a_minute_and_by_halves(samples, current, expected) -> None:
    assert decide(samples, current, POLICY, 1, now=100).replicas == expected


def test_a_replica_with_more_concurrency_needs_fewer_replicas() -> None:
    assert decide([Sample(100, 10)], 1, POLICY, 5, now=100).replicas == 3


def test_changed_bounds_are_kept_at_once() -> None:
    assert decide([], 1, AutoscalePolicy(min_replicas=3), 1, now=0).replicas == 3
    assert decide([], 9, AutoscalePolicy(max_replicas=4), 1, now=0).replicas == 4


histories = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 200)), max_size=50).map(
    lambda pairs: [Sample(*pair) for pair in sorted(pairs)]
)


@given(histories, st.integers(1, 30), st.integers(1, 5), st.integers(5, 30), st.integers(1, 8))
def test_the_answer_stays_within_the_bounds(samples, current, least, most, concurrent) -> None:
    policy = AutoscalePolicy(min_replicas=least, max_replicas=most)
    assert least <= decide(samples, current, policy, concurrent, now=100).replicas <= most


@given(histories, st.integers(1, 10), st.floats(1, 5))
def test_more_load_never_gives_fewer_replicas(samples, current, factor) -> None:
    more = [Sample(sample.time, sample.demand * factor) for sample in samples]
    assert decide(more, current, POLICY, 1, 100).replicas >= decide(samples, current, POLICY, 1, 100).replicas


def play(demand_at, seconds: int, policy: AutoscalePolicy = POLICY) -> list[int]:
    """Return the number of replicas after each second of a load."""
    samples: list[Sample] = []
    replicas, course = policy.min_replicas, []
    for second in range(seconds):
        samples = [*samples, Sample(second, demand_at(second))][-63:]
        replicas = decide(samples, replicas, policy, 1, second).replicas
        course.append(replicas)
    return course


def test_a_burst_goes_up_once_and_down_once() -> None:
    course = play(lambda second: 6.5 if 100 <= second < 160 and second % 7 else 0.2, 400)
    changes = [later - sooner for sooner, later in zip(course, course[1:], strict=False) if later != sooner]
    directions = [math.copysign(1, change) for change in changes]
    assert directions == sorted(directions, reverse=True), course
    assert course[101] == 10
    assert course[215] == 10
    assert course[-1] == 1


def test_it_is_back_at_the_minimum_about_a_minute_after_the_load() -> None:
    course = play(lambda second: 3.0 if second < 100 else 0.0, 300)
    back = next(second for second in range(100, 300) if course[second] == 1)
    assert 60 <= back - 100 <= 75


ZERO = AutoscalePolicy(min_replicas=0, max_replicas=10, scale_to_zero_seconds=300)


@pytest.mark.parametrize(
    ("samples", "current", "idle", "expected"),
    [
        (steady(0, 1000, 900), 1, 299.0, 1),
        (steady(0, 1000, 900), 1, 300.0, 0),
        (steady(0, 1000, 900), 0, 5000.0, 0),
        ([Sample(1000, 0.02)], 0, 0.0, 1),
        ([Sample(1000, 20)], 0, 0.0, 10),
        (steady(0, 1000, 900), 4, 100.0, 2),
    ],
)
def test_zero_after_a_time_without_requests_and_back_at_the_first(samples, current, idle, expected) -> None:
    assert decide(samples, current, ZERO, 1, now=1000, idle_seconds=idle).replicas == expected


def test_the_last_replica_stays_where_zero_is_not_allowed() -> None:
    assert decide(steady(0, 1000, 900), 1, POLICY, 1, now=1000, idle_seconds=1e6).replicas == 1


def test_the_time_until_there_are_fewer_can_be_chosen() -> None:
    policy = AutoscalePolicy(max_replicas=10, scale_down_seconds=5)
    assert decide([Sample(90, 8), *steady(0, 100, 94)], 8, policy, 1, now=100).replicas == 4
    assert decide([Sample(96, 8), *steady(0, 100, 97)], 8, policy, 1, now=100).replicas == 8


def test_a_decision_says_what_it_was_made_of() -> None:
    decision = decide([Sample(100, 50)], 2, POLICY, 1, now=100)
    assert (decision.replicas, decision.demand, decision.needed) == (10, 50, 72)
    assert "50.0 requests run or wait: 2 replicas are too few" in decision.reason


def test_samples_of_a_long_time_are_few_and_keep_what_decides() -> None:
    policy = AutoscalePolicy(max_replicas=100, scale_down_seconds=3_600)
    samples = Samples()
    for second in range(8_000):
        samples.add(Sample(second, 30.0 if second == 5_000 else 0.0), policy)
    assert len(samples.listed()) < 200
    assert decide(samples.listed(), 43, policy, 1, now=7_999).replicas == 43
    assert decide(samples.listed(), 43, policy, 1, now=7_999 + 650).replicas == 22
