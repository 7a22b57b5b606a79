"""Samples as the collector makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mljupyter.telemetry.metrics.histogram import Histogram
from mljupyter.telemetry.metrics.samples import Counts, Interval, Levels, Usage
from mljupyter.telemetry.metrics.store import Samples, TimeSeries

START = 1_795_000_020  # the beginning of a minute


def interval(
    time: int,
    version: str = "v1",
    latencies: Sequence[float] = (),
    *,
    seconds: float = 1.0,
    ready: int = 1,
    **counts: int,
) -> Interval:
    """Return one second in which a version answered requests that took so long, in milliseconds."""
    numbers = {"requests": len(latencies), **counts}
    levels = Levels(running=2, waiting=1, replicas_wanted=ready, replicas_ready=ready, weight=50)
    return Interval(time, version, seconds, Counts(**numbers, latency=Histogram.of(latencies)), levels)


def write(series: TimeSeries, intervals: Iterable[Interval], endpoint: str = "e", usages: Iterable[Usage] = ()) -> None:
    """Write intervals and usages of one endpoint, second by second."""
    by_time: dict[int, tuple[list[Interval], list[Usage]]] = {}
    for item in intervals:
        by_time.setdefault(item.time, ([], []))[0].append(item)
    for usage in usages:
        by_time.setdefault(usage.time, ([], []))[1].append(usage)
    for found in by_time.values():
        series.write(Samples({endpoint: found[0]}, {endpoint: found[1]}))
