"""The report on an endpoint: its series as columns, with percentiles and rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.telemetry.metrics.aggregate import (
    UsageBin,
    bin_end,
    longer,
    over_versions,
    resolution,
    usage_at,
    usage_bins,
)
from mljupyter.telemetry.metrics.samples import Interval
from mljupyter.telemetry.metrics.store import KEEP_SECONDS, MINUTE, TimeSeries

PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
MOST_POINTS = 20_000
_WHOLE = 10**12  # seconds: one bin for everything
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Period:
    """The intervals to read: each of `every` seconds, with an end after `after` and not after `until`."""

    after: int
    until: int
    every: int

    @classmethod
    def of(cls, now: float, since: float, every: int | None = None) -> Period:
        """Return the period from `since` until `now`, both in seconds since the epoch.

        Parameters:
            now: the time now.
            since: the start of the period.
            every: the resolution in seconds; None for the finest stored one that gives at most 1,000 intervals.

        Raises:
            ValueError: when the resolution is not stored for that long, or there would be too many intervals.

        """
        seconds = max(now - since, 0.0)
        if every is None:
            every = resolution(seconds)
            every = max(every, MINUTE) if seconds > KEEP_SECONDS else every
        if every < 1:
            raise ValueError(f"every is {every}: it is at least 1 second.")
        if every < MINUTE and seconds > KEEP_SECONDS:
            raise ValueError(
                f"every is {every} s over {seconds / 3600:.3g} hours: seconds are kept for an hour, minutes for a "
                "month. Give every=60 or more, or a shorter time."
            )
        if every > MINUTE and every % MINUTE:
            raise ValueError(f"every is {every} s: above a minute it must be whole minutes.")
        if seconds / every > MOST_POINTS:
            raise ValueError(
                f"{seconds / every:.0f} intervals of {every} s: at most {MOST_POINTS}. Give a longer interval (every)."
            )
        return cls(math.floor(since / every) * every, math.ceil(now), every)

    @property
    def fine(self) -> bool:
        """Whether single seconds are read: for a resolution that minutes cannot show, while seconds are stored."""
        return self.every < MINUTE


def report(
    series: TimeSeries, endpoint: str, period: Period, *, merge: bool = False, created: float = 0.0
) -> dict[str, Any]:
    """Return the series of an endpoint in one document.

    ``versions`` and ``replicas`` are tables, column name to values, in the order of time. ``summary`` is the whole
    period as one interval for each version, and ``histograms`` its latencies by version: lower bound and upper bound of
    each bucket in milliseconds, and its number of requests. To follow the series, call it again with `after` set to
    ``cursor``: intervals that begin there or later were not complete yet and are returned again, with the same time.

    Parameters:
        series: the stored time series.
        endpoint: the name of the endpoint.
        period: the intervals to read.
        merge: merge all versions exactly: percentiles are those of all requests.
        created: when the endpoint was created, in seconds since the epoch. Intervals that end before belong to a
            deleted endpoint of the same name.

    """
    every, born = period.every, math.floor(created)
    found = series.intervals(endpoint, max(period.after, born), period.until, fine=period.fine)
    usages = series.usages(endpoint, max(period.after - MINUTE, born), period.until, fine=period.fine)
    bins, usage = longer(found, every), usage_bins(usages, every)
    newest = max((interval.time for interval in found), default=period.after)
    whole = longer(found, _WHOLE)
    summed = over_versions(whole) if merge else whole
    return {
        "endpoint": endpoint,
        "every": every,
        "cursor": max(bin_end(newest + 1, every) - every, period.after),
        "versions": _versions(bins, usage, every, merge=merge),
        "summary": _versions(whole, usage_bins(usages, _WHOLE), _WHOLE, merge=merge),
        "histograms": {item.version: item.counts.latency.rows() for item in summed},
        "replicas": _replicas([item for item in usage if item.time > period.after], every),
    }


def _versions(bins: Sequence[Interval], usage: Sequence[UsageBin], every: int, *, merge: bool) -> Columns:
    shown = over_versions(bins) if merge else bins
    answered: dict[int, int] = {}
    for item in bins:
        answered[item.time] = answered.get(item.time, 0) + item.counts.requests
    columns: Columns = {name: [] for name in ("time", "version", *_MEASURES, *_QUANTILES, *_SHARES, *_USAGE)}
    used = _usage_of(shown, usage, every, merge=merge)
    for item in shown:
        columns["time"].append(item.time - every)
        columns["version"].append(item.version)
        for name, measure in _MEASURES.items():
            columns[name].append(measure(item))
        for name, value in zip(_QUANTILES, item.counts.latency.quantiles(tuple(PERCENTILES.values())), strict=True):
            columns[name].append(_rounded(value))
        all_requests = answered[item.time]
        columns["traffic_configured"].append(min(item.levels.weight, 100))
        columns["traffic_observed"].append(_rounded(_ratio(100 * item.counts.requests, all_requests)))
        cores, memory = used.get((item.version, item.time)) or (None, None)
        columns["cpu_cores"].append(_rounded(cores))
        columns["memory_mb"].append(_rounded(memory and memory / 1e6))
    return columns


def _usage_of(
    shown: Sequence[Interval], usage: Sequence[UsageBin], every: int, *, merge: bool
) -> dict[tuple[str, int], tuple[float, float] | None]:
    times: dict[str, list[int]] = {}
    for item in shown:
        times.setdefault(item.version, []).append(item.time)
    return {
        (version, time): found
        for version, ends in times.items()
        for time, found in zip(
            ends, usage_at((item for item in usage if merge or item.version == version), ends, every), strict=True
        )
    }


def _replicas(usage: Sequence[UsageBin], every: int) -> Columns:
    return {
        "time": [item.time - every for item in usage],
        "version": [item.version for item in usage],
        "replica": [item.replica for item in usage],
        "cpu_cores": [_rounded(item.cores) for item in usage],
        "memory_mb": [_rounded(item.memory_bytes / 1e6) for item in usage],
        "gpu_percent": [_rounded(item.gpu_percent) for item in usage],
        "gpu_memory_mb": [None if (used := item.gpu_memory_bytes) is None else _rounded(used / 1e6) for item in usage],
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _rounded(value: float | None) -> float | None:
    """Return a value with six significant digits: measured values have fewer, and documents stay short."""
    return None if value is None else float(f"{value:.6g}")


def _judged(item: Interval) -> int:
    """Return the number of requests that say whether a version works: all but the mistakes of clients."""
    return max(item.counts.requests - item.counts.client_errors, 0)


def _failed(item: Interval) -> int:
    return item.counts.server_errors + item.counts.refused + item.counts.timeouts


_MEASURES: dict[str, Callable[[Interval], Any]] = {
    "seconds": lambda item: _rounded(item.seconds),
    "requests": lambda item: item.counts.requests,
    "requests_per_second": lambda item: _rounded(_ratio(item.counts.requests, item.seconds)),
    "client_errors": lambda item: item.counts.client_errors,
    "server_errors": lambda item: item.counts.server_errors,
    "refused": lambda item: item.counts.refused,
    "timeouts": lambda item: item.counts.timeouts,
    "error_ratio": lambda item: _rounded(_ratio(_failed(item), _judged(item))),
    "resets": lambda item: item.counts.resets,
    "retries": lambda item: item.counts.retries,
    "mirrored": lambda item: item.counts.mirrored,
    "latency_mean_ms": lambda item: _rounded(_ratio(item.counts.latency.sum, item.counts.latency.count)),
    "run_mean_ms": lambda item: _rounded(_ratio(item.counts.run_microseconds / 1000, item.counts.runs)),
    "wait_mean_ms": lambda item: _rounded(_ratio(item.counts.wait_microseconds / 1000, item.counts.started)),
    "streamed": lambda item: item.counts.streamed,
    "first_byte_mean_ms": lambda item: _rounded(
        _ratio(item.counts.first_byte_microseconds / 1000, item.counts.streamed)
    ),
    "busy_mean": lambda item: _rounded(_ratio(item.counts.run_microseconds / 1e6, item.seconds)),
    "running": lambda item: _rounded(item.levels.running),
    "waiting": lambda item: _rounded(item.levels.waiting),
    "replicas_wanted": lambda item: item.levels.replicas_wanted,
    "replicas_ready": lambda item: item.levels.replicas_ready,
    "bytes_in": lambda item: item.counts.bytes_in,
    "bytes_out": lambda item: item.counts.bytes_out,
}
_QUANTILES = tuple(f"latency_{name}_ms" for name in PERCENTILES)
_SHARES = ("traffic_configured", "traffic_observed")
_USAGE = ("cpu_cores", "memory_mb")
