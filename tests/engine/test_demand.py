"""The demand: what is present, Little's law for short requests, and neither counted twice."""

from __future__ import annotations

import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.engine.scaling.demand import Reading, demand

BOUNDS = (0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))


def reading(time: float, present: int, durations: list[float], again: int = 0) -> Reading:
    finished = tuple((bound, sum(duration <= bound for duration in durations)) for bound in BOUNDS)
    return Reading(time, present, again, finished, sum(durations))


@pytest.mark.parametrize(
    ("before", "present", "durations", "expected"),
    [
        pytest.param(0, 0, [], 0.0, id="nothing"),
        pytest.param(0, 7, [], 7.0, id="a step of load"),
        pytest.param(0, 0, [0.01] * 100, 2.0, id="short ones unseen"),
        pytest.param(0, 3, [0.01] * 100, 2.0, id="short ones seen by chance"),
        pytest.param(0, 40, [0.01] * 100, 40.0, id="more than chance explains"),
        pytest.param(6, 6, [2.0] * 6, 6.0, id="long ones that end together"),
        pytest.param(6, 0, [2.0] * 6, 4.8, id="and are not followed by others"),
        pytest.param(1, 1, [0.4], 1.0, id="one after the other"),
    ],
)
def test_what_counts(before, present, durations, expected) -> None:
    assert demand([reading(9.5, before, []), reading(10.0, present, durations)]) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("looks", range(1, 20))
@pytest.mark.parametrize("first_sees", [0, 1, 2])
def test_a_step_to_two_is_seen_by_the_second_look_however_much_of_it_the_first_one_sees(looks, first_sees) -> None:
    """Enough for a third replica at a target of 70 percent."""
    idle = [reading(look / 2, 0, []) for look in range(looks)]
    step = [reading((looks + index) / 2, present, []) for index, present in enumerate((first_sees, 2))]
    found = max(demand(deque([*idle, *step[: index + 1]])) for index in range(2))
    assert found >= 1.5


@pytest.mark.parametrize("seconds", [0.4, 1.0, 3.0])
def test_one_long_request_is_no_step(seconds) -> None:
    readings = [reading(look / 2, int(5.1 <= look / 2 < 5.1 + seconds), []) for look in range(20)]
    assert max(demand(readings[: look + 1]) for look in range(1, 20)) <= 1 / 2


def test_a_request_that_is_tried_again_counts_once() -> None:
    assert Reading(1.0, active=6, again=5).present == 6
    assert Reading(1.0, active=4, again=6).present == 6


def test_requests_of_no_measurable_time_are_requests() -> None:
    assert demand([reading(9.5, 0, []), reading(10.0, 0, [0.0] * 10)]) > 0


def test_a_router_that_was_started_anew_counts_from_the_beginning() -> None:
    assert demand([reading(9.5, 0, [1.0] * 50), reading(10.0, 2, [0.01] * 3)]) == 2


def test_long_requests_in_progress_among_many_short_ones_count() -> None:
    """Ten that run for a long time, and a thousand short ones a second that are one at a time."""
    readings = [reading(second / 2, 11, [0.001] * 500 * second) for second in range(5)]
    assert demand(readings) == pytest.approx(11, abs=1)


def play(clients: int, duration, seconds: float) -> list[float]:
    """Return the demand measured every half second while so many clients send one request after the other."""
    events = []
    for client in range(clients):
        now = client * 0.013
        while now < seconds:
            took = duration()
            events.append((now, now + took))
            now += took
    readings, found = [], []
    for look in range(1, int(seconds * 2)):
        now = look / 2
        done = [end - start for start, end in events if end <= now]
        readings.append(reading(now, sum(start <= now < end for start, end in events), done))
        found.append(demand(readings[-5:]))
    return found


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.floats(0.02, 3.0))
def test_a_number_of_clients_is_never_measured_as_more(clients, duration) -> None:
    assert max(play(clients, lambda: duration, 8)) <= clients + 1e-6


def test_clients_with_heavy_tailed_requests_are_measured_as_what_they_are() -> None:
    chance = random.Random(1)
    found = play(10, lambda: min(0.02 * chance.paretovariate(1.2), 5.0), 30)
    assert sum(found[4:]) / len(found[4:]) == pytest.approx(10, rel=0.1)
    assert max(found) <= 15


@given(st.integers(0, 50), st.integers(0, 50), st.lists(st.floats(0, 5), max_size=30))
def test_more_present_never_count_less(fewer, more, durations) -> None:
    fewer, more = sorted((fewer, more))
    before = reading(9.5, 3, [])
    few, many = (demand([before, reading(10.0, present, durations)]) for present in (fewer, more))
    assert few <= many + 1e-9


def test_the_bound_by_classes_of_duration_holds_where_a_few_take_very_long() -> None:
    """A thousand requests of ten milliseconds and ten of ten seconds that end in the same second: not a hundred."""
    durations = [0.01] * 1000 + [10.0] * 10
    assert demand([reading(9.0, 20, []), reading(10.0, 20, durations)]) == pytest.approx(20, abs=1)
