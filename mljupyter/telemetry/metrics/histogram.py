"""Latency histograms with the buckets of Envoy: log-linear, two decimal digits, so that they can be added exactly.

A bucket holds the values with the same first two decimal digits (circllhist). The router counts whole milliseconds,
rounded down: a bucket of the value 3 holds requests that took at least 3 ms and less than 4 ms.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

_DIGITS = 90  # buckets between a power of ten and the next
_MORE, _LOW = 0x80, 0x7F


@dataclass(frozen=True)
class Histogram:
    """Counts of latencies by bucket. All times are in milliseconds.

    Parameters:
        counts: the number of latencies by bucket number; see `bucket_of`.

    Example:
        >>> both = Histogram.of([3, 3, 12]).plus(Histogram.of([250]))
        >>> both.count, both.quantile(0.5)
        (4, 4.0)

    """

    counts: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, milliseconds: Iterable[float]) -> Histogram:
        """Return the histogram of single latencies."""
        counts: dict[int, int] = {}
        for value in milliseconds:
            bucket = bucket_of(value)
            counts[bucket] = counts.get(bucket, 0) + 1
        return cls(counts)

    @classmethod
    def of_router(cls, buckets: Iterable[Mapping[str, Any]]) -> Histogram:
        """Return the histogram of a report of the router, which has ``lower_bound``, ``width`` and ``count``."""
        counts: dict[int, int] = {}
        for item in buckets:
            bucket = _bucket_from(item["lower_bound"])
            counts[bucket] = counts.get(bucket, 0) + int(item["count"])
        return cls(counts)

    @classmethod
    def of_rows(cls, rows: Iterable[Sequence[float]]) -> Histogram:
        """Return the histogram from the result of `rows`."""
        return cls({_bucket_from(lower): int(count) for lower, _, count in rows})

    def rows(self) -> list[list[float]]:
        """Return the buckets as lower bound, exclusive upper bound, and number of latencies, in ascending order."""
        return [[*bounds(bucket), count] for bucket, count in sorted(self.counts.items())]

    @classmethod
    def decode(cls, data: bytes | None) -> Histogram:
        """Return the histogram from the result of `encode`."""
        numbers = iter(_numbers(data or b""))
        counts: dict[int, int] = {}
        bucket = 0
        for step in numbers:
            bucket += step
            counts[bucket] = next(numbers)
        return cls(counts)

    def encode(self) -> bytes | None:
        """Return the histogram in a few bytes, None when it is empty."""
        data = bytearray()
        before = 0
        for bucket, count in sorted(self.counts.items()):
            _append(data, bucket - before)
            _append(data, count)
            before = bucket
        return bytes(data) or None

    @property
    def count(self) -> int:
        """The number of latencies."""
        return sum(self.counts.values())

    @property
    def sum(self) -> float:
        """The sum of all latencies, each counted as the middle of its bucket."""
        return sum(count * sum(bounds(bucket)) / 2 for bucket, count in self.counts.items())

    def plus(self, other: Histogram) -> Histogram:
        """Return the exact sum of both histograms."""
        return merged((self, other))

    def since(self, earlier: Histogram) -> Histogram | None:
        """Return the increase of a growing histogram since an earlier reading, None if it was reset."""
        if any(self.counts.get(bucket, 0) < count for bucket, count in earlier.counts.items()):
            return None
        grown = {bucket: count - earlier.counts.get(bucket, 0) for bucket, count in self.counts.items()}
        return Histogram({bucket: count for bucket, count in grown.items() if count})

    def at_most(self, milliseconds: float) -> int:
        """Return the number of latencies below a time. It is exact if the time is the end of a bucket."""
        return sum(count for bucket, count in self.counts.items() if bounds(bucket)[1] <= milliseconds)

    def quantile(self, share: float) -> float | None:
        """Return the quantile for a share between 0 and 1, None when the histogram is empty; see `quantiles`."""
        return self.quantiles((share,))[0]

    def quantiles(self, shares: Sequence[float]) -> list[float | None]:
        """Return several quantiles in one pass.

        The exact quantile lies in the same bucket: the error is at most 10 % of it, or 1 ms if that is more.

        Parameters:
            shares: each between 0 and 1, in ascending order; 0.95 is the 95th percentile.

        """
        total, seen = self.count, 0
        if not total:
            return [None] * len(shares)
        found: list[float | None] = []
        for bucket, count in sorted(self.counts.items()):
            lower, upper = bounds(bucket)
            while len(found) < len(shares) and seen + count >= shares[len(found)] * total:
                part = max(shares[len(found)] * total - seen, 0) / count
                found.append(lower + (upper - lower) * part)
            seen += count
        return found + [bounds(max(self.counts))[1]] * (len(shares) - len(found))


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return the exact sum of several histograms."""
    counts: dict[int, int] = {}
    for histogram in histograms:
        for bucket, count in histogram.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count
    return Histogram(counts)


def bucket_of(milliseconds: float) -> int:
    """Return the bucket number of a latency: 0 below 1 ms, then 90 buckets for each power of ten."""
    return _bucket_from(float(int(milliseconds)))


@cache
def bounds(bucket: int) -> tuple[float, float]:
    """Return the lower bound of a bucket, and its exclusive upper bound."""
    if bucket == 0:
        return 0.0, 1.0
    power, digits = divmod(bucket - 1, _DIGITS)
    lower, width = (digits + 10) * 10.0 ** (power - 1), 10.0 ** (power - 1)
    return lower, max(lower + width, math.floor(lower) + 1.0)


@cache
def _bucket_from(lower_bound: float) -> int:
    if lower_bound < 1:
        return 0
    power = math.floor(math.log10(lower_bound) + 1e-9)
    # The router's bounds have rounding errors (509.99999999999994), single values do not.
    digits = math.floor(lower_bound / 10.0 ** (power - 1) + 1e-6)
    return 1 + _DIGITS * power + digits - 10


def _append(data: bytearray, number: int) -> None:
    while number > _LOW:
        data.append(number & _LOW | _MORE)
        number >>= 7
    data.append(number)


def _numbers(data: bytes) -> Iterable[int]:
    number = shift = 0
    for byte in data:
        number |= (byte & _LOW) << shift
        shift += 7
        if not byte & _MORE:
            yield number
            number = shift = 0
