"""Idle versions: the time without requests is stored as one interval, and read as single seconds again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mljupyter.telemetry.metrics.samples import COUNTERS, NOTHING, Interval, Levels

MINUTE = 60
_SHORTEST = 2  # whole seconds; a shorter interval is a single second


def idle_intervals(version: str, after: int, until: int, seconds: float, levels: Levels) -> list[Interval]:
    """Return the time of a version without requests as intervals within whole minutes.

    Parameters:
        version: the version's name.
        after: the end of its last interval, in seconds since the epoch.
        until: the end of the time without requests.
        seconds: its length on a clock that nobody sets; if the two differ, there is only one interval.
        levels: the gauges in all of that time.

    """
    wall = until - after
    if wall < 1:
        return []
    if abs(wall - seconds) > _SHORTEST:  # somebody has set the clock
        return [Interval(until, version, seconds, NOTHING, levels)]
    ends = [*range((after // MINUTE + 1) * MINUTE, until, MINUTE), until]
    begins = [after, *ends[:-1]]
    return [
        Interval(end, version, seconds * (end - begin) / wall, NOTHING, levels)
        for begin, end in zip(begins, ends, strict=True)
    ]


def by_second(intervals: Iterable[Interval], after: int) -> Iterator[Interval]:
    """Yield intervals, those without requests second by second.

    Parameters:
        intervals: in any order.
        after: seconds that end at this time or earlier are left out.

    """
    for interval in intervals:
        seconds = round(interval.seconds)
        if not _SHORTEST <= seconds <= MINUTE or not _is_idle(interval):
            yield interval
            continue
        for end in range(max(interval.time - seconds, after) + 1, interval.time + 1):
            yield Interval(end, interval.version, interval.seconds / seconds, NOTHING, interval.levels)


def _is_idle(interval: Interval) -> bool:
    return not any(getattr(interval.counts, name) for name in COUNTERS)
