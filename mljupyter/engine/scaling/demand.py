"""Estimate the demand for a version from the router's counters: the mean number of requests that run or wait.

Requests that are present at a reading are counted directly. Requests that came and went between two readings are
estimated by Little's law: their total duration, divided by the time between the readings, is their mean number.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

MEAN_SECONDS = 10.0
"""The time in seconds that the readings for `demand` should cover."""
_CHANCE = 4.0  # standard deviations of a number of independent arrivals
_LAST_TWO = 2
_SHORTEST = 0.0005  # the router counts whole milliseconds and rounds less than half of one to zero


@dataclass(frozen=True)
class Reading:
    """The router's counters for one version at a time, which is in seconds on the caller's clock.

    `active` are requests at a replica or on their way to one, `again` are those being retried: at a replica, or
    between two of them. `finished` has ascending upper bounds in seconds, each with the number of requests so far that
    took no longer; `seconds` is their total duration.
    """

    time: float
    active: int
    again: int = 0
    finished: tuple[tuple[float, int], ...] = ()
    seconds: float = 0.0

    @property
    def present(self) -> int:
        """The number of requests that run or wait at this moment.

        A request that is being retried is in both numbers, so they must not be added. The greater one counts different
        requests, and counts all of them when none waits.
        """
        return max(self.active, self.again)

    def with_present(self, other: Reading | None) -> Reading:
        """Return this reading with the present requests of another router added, but not its finished ones."""
        if other is None:
            return self
        return replace(self, active=self.active + other.active, again=self.again + other.again)

    @property
    def count(self) -> int:
        """The number of requests that have finished so far."""
        return self.finished[-1][1] if self.finished else 0


def asked(readings: Sequence[Reading]) -> bool:
    """Return whether there is a request now, or one has finished since the reading before the last one."""
    now = readings[-1]
    return now.present > 0 or (len(readings) > 1 and now.count != readings[-2].count)


def demand(readings: Iterable[Reading], lately: float = 0.0) -> float:
    """Return the estimated number of requests that run or wait now.

    A single reading has random deviations. Within the range of random deviations, the result is the mean of the last
    readings or the estimate by Little's law. A greater deviation, in the last reading or in the last two together,
    counts at once.

    Parameters:
        readings: the last few readings, oldest first.
        lately: the mean demand of a longer time before the last two, for the range of random deviations.

    Example:
        >>> before = Reading(10, 0, finished=((0.01, 0),))
        >>> hundred_of_ten_milliseconds = Reading(11, 2, finished=((0.01, 100),), seconds=1.0)
        >>> round(demand([before, hundred_of_ten_milliseconds]), 2)
        1.0

    """
    readings = list(readings)
    first, now = readings[0], readings[-1]
    if now.time <= first.time or any(later.count < sooner.count for sooner, later in pairwise(readings)):
        return float(now.present)  # the first reading, or the first after a restart of the router
    mean = _mean(first, now)
    found = [mean, _mean_present(readings)]
    if _beyond_chance(now.present, 1, max(mean, _mean_present(readings[:-1]), lately)):
        found.append(now.present)
    if len(readings) > _LAST_TWO:  # a load step just before a reading: that one sees a part of it, the next one all
        before, last = readings[:-_LAST_TWO], readings[-_LAST_TWO:]
        expected = max(_mean(first, before[-1]), _mean_present(before), lately)
        if _beyond_chance(sum(reading.present for reading in last), _LAST_TWO, expected):
            found.append(_mean_present(last))
    return float(max(found))


def _mean_present(readings: Sequence[Reading]) -> float:
    return sum(reading.present for reading in readings) / len(readings)


def _beyond_chance(seen: int, looks: int, expected: float) -> bool:
    """Return whether `seen` in a number of readings is beyond random deviations, with `expected` in each of them."""
    return seen > looks * (expected + 1) + _CHANCE * math.sqrt(looks * expected)


def _mean(before: Reading, now: Reading) -> float:
    """Return a lower bound of the mean number of those requests that have finished between two readings.

    Part of their duration lies before the first reading, at most the duration of one request each. So the total is
    divided by the time between the readings plus the duration of one request, and never gives too high a mean.
    """
    between, count = now.time - before.time, now.count - before.count
    if not count:
        return 0.0
    seconds = max(now.seconds - before.seconds, count * _SHORTEST)
    earlier = dict(before.finished)
    known, bound = 0, 0.0
    for upper, total in now.finished:
        cumulated = max(total - earlier.get(upper, 0), known)
        share = upper / (between + upper) if math.isfinite(upper) else 1.0
        bound += (cumulated - known) * share
        known = cumulated
    return min(seconds / (between + seconds / count), bound)
