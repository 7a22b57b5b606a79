"""The demand for a version, estimated from the router's counters: the mean number of requests that run or wait.

Requests that are there at the moment of a look are seen as such. Those that came and went between two looks count by
Little's law: the time they took together, over the time between the looks, is how many of them there were on average.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

MEAN_SECONDS = 10.0
"""Of how long a time the last readings are that `demand` should be given."""
_CHANCE = 4.0  # standard deviations of the number of requests that arrive independently of each other
_LAST_TWO = 2
_SHORTEST = 0.0005  # the router counts whole milliseconds: less than half of one is written down as nothing


@dataclass(frozen=True)
class Reading:
    """What the router has counted for one version at a time, in seconds on the caller's clock.

    `active` are requests that are at a replica or on their way to one, `again` those that are being tried again:
    at a replica, or between two of them. `finished` maps upper bounds of seconds, ascending, to how many requests
    have taken no longer so far; `seconds` is the time they took together.
    """

    time: float
    active: int
    again: int = 0
    finished: tuple[tuple[float, int], ...] = ()
    seconds: float = 0.0

    @property
    def present(self) -> int:
        """How many requests run or wait, seen at this moment.

        One that is tried for the second time is in both numbers, so they must not be added: the greater one is a
        number of different requests, and is all of them as soon as none waits.
        """
        return max(self.active, self.again)

    def with_present(self, other: Reading | None) -> Reading:
        """Return this reading with the requests that another router has now; what that has finished stays its own."""
        if other is None:
            return self
        return replace(self, active=self.active + other.active, again=self.again + other.again)

    @property
    def count(self) -> int:
        """How many requests have finished so far."""
        return self.finished[-1][1] if self.finished else 0


def asked(readings: Sequence[Reading]) -> bool:
    """Return whether there is a request now, or one has finished since the reading before the last."""
    now = readings[-1]
    return now.present > 0 or (len(readings) > 1 and now.count != readings[-2].count)


def demand(readings: Iterable[Reading], lately: float = 0.0) -> float:
    """Return how many requests run or wait now.

    One look sees by chance more or fewer than there usually are. What chance explains is no reason to change anything:
    then the mean counts, of the last looks or by Little's law. What it does not explain, in the last look or in the
    last two together, counts at once.

    Parameters:
        readings: the last few, oldest first.
        lately: the mean demand of a longer time before the last two, which says what chance explains.

    Example:
        >>> before = Reading(10, 0, finished=((0.01, 0),))
        >>> hundred_of_ten_milliseconds = Reading(11, 2, finished=((0.01, 100),), seconds=1.0)
        >>> round(demand([before, hundred_of_ten_milliseconds]), 2)
        1.0

    """
    readings = list(readings)
    first, now = readings[0], readings[-1]
    if now.time <= first.time or any(later.count < sooner.count for sooner, later in pairwise(readings)):
        return float(now.present)  # the first look, or the first at a router that was started anew
    mean = _mean(first, now)
    found = [mean, _mean_present(readings)]
    if _beyond_chance(now.present, 1, max(mean, _mean_present(readings[:-1]), lately)):
        found.append(now.present)
    if len(readings) > _LAST_TWO:  # a step that begins just before a look: that one sees part of it, the next one all
        before, last = readings[:-_LAST_TWO], readings[-_LAST_TWO:]
        expected = max(_mean(first, before[-1]), _mean_present(before), lately)
        if _beyond_chance(sum(reading.present for reading in last), _LAST_TWO, expected):
            found.append(_mean_present(last))
    return float(max(found))


def _mean_present(readings: Sequence[Reading]) -> float:
    return sum(reading.present for reading in readings) / len(readings)


def _beyond_chance(seen: int, looks: int, expected: float) -> bool:
    """Return whether so many looks would by chance not have seen so many, where so many are expected in each."""
    return seen > looks * (expected + 1) + _CHANCE * math.sqrt(looks * expected)


def _mean(before: Reading, now: Reading) -> float:
    """Return how many requests there were at least on average, of those that have finished between two readings.

    Part of the time they took lies before. As many as ran at once can have finished in the time between and the time
    of one request, not more: dividing by both never gives more than there were.
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
