"""The time without requests is stored as one interval and read as single seconds."""

from __future__ import annotations

from mljupyter.telemetry.metrics.idle import by_second, idle_intervals
from mljupyter.telemetry.metrics.samples import NOTHING, Counts, Interval, Levels

LEVELS = Levels(replicas_ready=2, weight=100)


def test_an_interval_ends_at_each_minute() -> None:
    found = idle_intervals("one", 110, 245, 135.0, LEVELS)
    assert [(one.time, one.seconds) for one in found] == [(120, 10), (180, 60), (240, 60), (245, 5)]


def test_no_time_gives_no_interval() -> None:
    assert idle_intervals("one", 100, 100, 0.0, LEVELS) == []
    assert idle_intervals("one", 100, 40, 0.0, LEVELS) == []


def test_a_clock_that_somebody_sets_gives_one_interval_of_the_time_that_has_passed() -> None:
    assert idle_intervals("one", 100, 5000, 4.0, LEVELS) == [Interval(5000, "one", 4.0, NOTHING, LEVELS)]


def test_an_idle_interval_is_read_second_by_second_within_the_bounds() -> None:
    stored = [Interval(110, "one", 5.0, NOTHING, LEVELS)]
    assert [one.time for one in by_second(stored, 0)] == [106, 107, 108, 109, 110]
    assert [one.time for one in by_second(stored, 108)] == [109, 110]


def test_an_interval_with_requests_stays_as_it_is() -> None:
    stored = [Interval(110, "one", 5.0, Counts(requests=1), LEVELS)]
    assert list(by_second(stored, 0)) == stored


def test_the_first_interval_after_a_long_time_without_a_controller_stays_as_it_is() -> None:
    stored = [Interval(4000, "one", 3600.0, NOTHING, LEVELS)]
    assert list(by_second(stored, 0)) == stored
