"""The demand for a version from what the router has counted: how many requests ran or waited, without a clock.

Requests that are there at the moment of a look are seen as such. Those that came and went between two looks count by
Little's law: the time they took together, over the time between the looks, is how many of them there were on average.
"""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
    def count(self) -> int:
        """How many requests have finished so far."""
        return self.finished[-1][1] if self.finished else 0


def demand(before: Reading | None, now: Reading) -> float:
    """Return how many requests ran or waited: those present now, or the mean since the reading before if that is more.

    A request counts for no longer than the time between the readings: one of ten seconds was there once, not ten
    times, when it is over.

    Example:
        >>> hundred_of_ten_milliseconds = Reading(11, 0, finished=((0.01, 100),), seconds=1.0)
        >>> demand(Reading(10, 0, finished=((0.01, 0),)), hundred_of_ten_milliseconds)
        1.0

    """
    if before is None or now.time <= before.time or now.count < before.count:  # less: the router was started anew
        return float(now.present)
    return max(float(now.present), _mean(before, now))


def _mean(before: Reading, now: Reading) -> float:
    between = now.time - before.time
    earlier = dict(before.finished)
    bound, known, count = 0.0, 0, 0
    for upper, total in now.finished:
        cumulated = total - earlier.get(upper, 0)
        bound += max(cumulated - known, 0) * min(upper, between)
        known = count = max(cumulated, known)
    seconds = max(now.seconds - before.seconds, count * _SHORTEST)
    return min(seconds, max(bound, count * _SHORTEST)) / between
