"""Aggregate intervals into longer ones, and intervals of several versions into one. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mljupyter.telemetry.metrics.samples import Interval, Levels, Usage, total

RESOLUTIONS = (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)
MOST_BINS = 1000
_USAGE_HOLDS = 15  # the seconds for which a measured usage is valid, since it is not measured every second


def resolution(seconds: float) -> int:
    """Return the finest resolution that shows a period in at most `MOST_BINS` intervals, in seconds.

    Example:
        >>> resolution(15 * 60), resolution(24 * 3600)
        (1, 120)

    """
    return next((every for every in RESOLUTIONS if seconds / every <= MOST_BINS), RESOLUTIONS[-1])


def bin_end(time: int, every: int) -> int:
    """Return the end of the bin of `every` seconds with an interval that ends at `time`."""
    return -(-time // every) * every


def longer(intervals: Iterable[Interval], every: int) -> list[Interval]:
    """Return the intervals of each version aggregated into bins of `every` seconds, in the order of time.

    Counts are added, running and waiting are averaged over time, and the other levels are those at the end.
    """
    groups: dict[tuple[int, str], list[Interval]] = {}
    for interval in intervals:
        groups.setdefault((bin_end(interval.time, every), interval.version), []).append(interval)
    return [_together(time, version, groups[time, version]) for time, version in sorted(groups)]


def over_versions(intervals: Iterable[Interval], name: str = "") -> list[Interval]:
    """Return the intervals of all versions with the same end merged into one."""
    groups: dict[int, list[Interval]] = {}
    for interval in intervals:
        groups.setdefault(interval.time, []).append(interval)
    return [_all_versions(time, name, groups[time]) for time in sorted(groups)]


def _together(time: int, version: str, parts: Sequence[Interval]) -> Interval:
    if len(parts) == 1:
        part = parts[0]
        return part if part.time == time else Interval(time, version, part.seconds, part.counts, part.levels)
    parts = sorted(parts, key=lambda part: part.time)
    seconds = sum(part.seconds for part in parts)
    last = parts[-1].levels

    def mean(name: str) -> float:
        values = sum(getattr(part.levels, name) * part.seconds for part in parts)
        return values / seconds if seconds else 0.0

    levels = Levels(mean("running"), mean("waiting"), last.replicas_wanted, last.replicas_ready, last.weight)
    return Interval(time, version, seconds, total(part.counts for part in parts), levels)


def _all_versions(time: int, name: str, parts: Sequence[Interval]) -> Interval:
    levels = Levels(
        running=sum(part.levels.running for part in parts),
        waiting=sum(part.levels.waiting for part in parts),
        replicas_wanted=sum(part.levels.replicas_wanted for part in parts),
        replicas_ready=sum(part.levels.replicas_ready for part in parts),
        weight=sum(part.levels.weight for part in parts),
    )
    return Interval(time, name, max(part.seconds for part in parts), total(part.counts for part in parts), levels)


@dataclass(frozen=True)
class UsageBin:
    """Cores, memory and use of GPUs of one replica, on average over a bin that ends at `time`."""

    time: int
    version: str
    replica: str
    cores: float
    memory_bytes: float
    gpu_percent: float | None = None
    gpu_memory_bytes: float | None = None


def usage_bins(usages: Iterable[Usage], every: int) -> list[UsageBin]:
    """Return the mean usage of each replica in bins of `every` seconds, in the order of time."""
    groups: dict[tuple[int, str, str], list[Usage]] = {}
    for usage in usages:
        groups.setdefault((bin_end(usage.time, every), usage.version, usage.replica), []).append(usage)
    return [
        UsageBin(
            *key,
            cores=sum(item.cores for item in items) / len(items),
            memory_bytes=sum(item.memory_bytes for item in items) / len(items),
            gpu_percent=_mean_of_known(item.gpu_percent for item in items),
            gpu_memory_bytes=_mean_of_known(item.gpu_memory_bytes for item in items),
        )
        for key, items in sorted(groups.items())
    ]


def _mean_of_known(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def usage_at(bins: Iterable[UsageBin], times: Iterable[int], every: int) -> list[tuple[float, float] | None]:
    """Return the total cores and memory of all replicas at each of some ascending times.

    A replica counts if it was measured at most 15 s, or one bin, before that time. None if no replica counts.
    """
    waiting = sorted(bins, key=lambda item: item.time)
    holds, index = max(_USAGE_HOLDS, every), 0
    latest: dict[str, UsageBin] = {}
    found: list[tuple[float, float] | None] = []
    for time in times:
        while index < len(waiting) and waiting[index].time <= time:
            latest[waiting[index].replica] = waiting[index]
            index += 1
        present = [item for item in latest.values() if item.time > time - holds]
        together = (sum(item.cores for item in present), sum(item.memory_bytes for item in present))
        found.append(together if present else None)
    return found
