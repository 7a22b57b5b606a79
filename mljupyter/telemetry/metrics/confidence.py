"""Confidence intervals (95 %) of shares, percentiles and ratios, without an assumption about the distribution."""

from __future__ import annotations

import math

from mljupyter.telemetry.metrics.histogram import Histogram

SIGMAS = 1.96
"""Standard deviations on each side of an estimate that hold 95 % of all samples."""
Interval = tuple[float, float]


def share_interval(part: float, whole: float) -> Interval | None:
    """Return the interval of a share (Wilson's), between 0 and 1; None without samples.

    Parameters:
        part: the number of samples that count.
        whole: the number of all samples.

    Example:
        >>> low, high = share_interval(0, 200)
        >>> low, round(high, 3)
        (0.0, 0.019)

    """
    if not whole:
        return None
    share, square = part / whole, SIGMAS**2
    middle = share + square / (2 * whole)
    half = SIGMAS * math.sqrt(share * (1 - share) / whole + square / (4 * whole**2))
    scale = 1 + square / whole
    return max((middle - half) / scale, 0.0) if part else 0.0, min((middle + half) / scale, 1.0)


def quantile_interval(histogram: Histogram, share: float) -> Interval | None:
    """Return the interval of a quantile in milliseconds, from the order of the samples.

    None with too few samples: p95 needs about 80 of them, p99 about 400.

    Parameters:
        histogram: the latencies.
        share: between 0 and 1; 0.95 is the 95th percentile.

    """
    count = histogram.count
    half = SIGMAS * math.sqrt(count * share * (1 - share))
    first, last = count * share - half, count * share + half
    if first < 1 or last > count:
        return None
    low, high = histogram.quantiles((first / count, last / count))
    return None if low is None or high is None else (low, high)


def ratio_interval(before: Interval | None, after: Interval | None) -> Interval | None:
    """Return the interval of ``after / before``, which is at least as wide as needed; None without a ratio."""
    if before is None or after is None or not before[0]:
        return None
    return after[0] / before[1], after[1] / before[0]


def shares_differ(first: float, first_of: float, second: float, second_of: float) -> bool:
    """Return whether two shares differ by more than chance explains.

    Parameters:
        first, second: the shares, between 0 and 1.
        first_of, second_of: the number of samples of each.

    """
    if not first_of or not second_of:
        return False
    pooled = (first * first_of + second * second_of) / (first_of + second_of)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / first_of + 1 / second_of))
    return deviation > 0 and abs(second - first) >= SIGMAS * deviation
