"""The comparison of autoscaling policies: what it simulates is right, and ours does as it should."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.autoscaling.loads import LOADS, Load, steady
from benchmarks.autoscaling.policies import Knative, Ours, RayServe
from benchmarks.autoscaling.service import Seen, run


class Fixed:
    """A number of replicas that never changes."""

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas
        self.last: Seen | None = None

    def wanted(self, seen: Seen) -> int:
        self.last = seen
        return self.replicas


@pytest.mark.parametrize("seconds", [0.005, 0.2, 3.0])
def test_replicas_are_busy_for_as_long_as_requests_take(seconds: float) -> None:
    """By Little's law ten requests are present, whatever they take."""
    load = Load("", "", 600, lambda times: np.full_like(times, 10 / seconds), steady(seconds))
    policy = Fixed(40)
    course = run(load, policy)
    late = course.present[60:]
    assert sum(late) / len(late) == pytest.approx(10, rel=0.15)
    assert course.replica_seconds == pytest.approx(40 * 600, rel=0.01)
    assert policy.last is not None
    assert policy.last.finished_seconds / policy.last.finished.sum() == pytest.approx(seconds, rel=0.1, abs=0.05)


def test_who_waits_too_long_is_refused() -> None:
    load = Load("", "", 300, lambda times: np.full_like(times, 10.0), steady(1.0))
    course = run(load, Fixed(5))
    assert course.refused / course.requests == pytest.approx(0.5, abs=0.05)


STEP = next(load for load in LOADS if load.name == "step")


def test_ours_refuses_least_and_turns_less_often_than_knative() -> None:
    ours, knative, ray = (run(STEP, policy(STEP.most_replicas, STEP.step)) for policy in (Ours, Knative, RayServe))
    assert ours.refused < knative.refused < ray.refused
    assert ours.turns < knative.turns / 2
    assert ours.replica_seconds < 1.5 * knative.replica_seconds


def test_one_burst_is_one_way_up_and_one_way_down() -> None:
    """Nothing, twenty seconds of load, nothing: at most one change of direction."""
    load = Load("", "", 300, lambda times: np.where((times >= 60) & (times < 80), 100.0, 0.0), steady(0.2))
    for seed in range(5):
        course = run(load, Ours(100, load.step), seed)
        assert course.turns == 1
        assert course.replicas[-1] == 1
