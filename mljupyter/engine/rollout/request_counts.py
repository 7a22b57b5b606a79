"""Request counts and latency histograms that can be added and subtracted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Bucket = tuple[float, float]


@dataclass(frozen=True)
class RequestCounts:
    """Requests of one version: the number of answered and failed ones, and their latencies.

    `latencies` counts requests by bucket: its lower bound and its width, in milliseconds.
    """

    requests: int = 0
    errors: int = 0
    latencies: Mapping[Bucket, int] = field(default_factory=dict)

    @property
    def timed(self) -> int:
        """The number of requests with a latency, which the router adds a moment after it counts a request."""
        return sum(self.latencies.values())

    @property
    def error_percentage(self) -> float:
        """The percentage of failed requests; 0 without requests."""
        return 100.0 * self.errors / self.requests if self.requests else 0.0

    def plus(self, other: RequestCounts) -> RequestCounts:
        """Return the sum of both."""
        latencies = dict(self.latencies)
        for bucket, count in other.latencies.items():
            latencies[bucket] = latencies.get(bucket, 0) + count
        return RequestCounts(self.requests + other.requests, self.errors + other.errors, latencies)

    def since(self, earlier: RequestCounts) -> RequestCounts:
        """Return the increase of growing counts since an earlier reading. Counts of a restarted source begin at zero.

        Example:
            >>> RequestCounts(10, 1).since(RequestCounts(7, 1))
            RequestCounts(requests=3, errors=0, latencies={})
            >>> RequestCounts(2, 0).since(RequestCounts(7, 1)).requests
            2

        """
        grown = (
            self.requests >= earlier.requests
            and self.errors >= earlier.errors
            and all(self.latencies.get(bucket, 0) >= count for bucket, count in earlier.latencies.items())
        )
        if not grown:
            return self
        latencies = {bucket: count - earlier.latencies.get(bucket, 0) for bucket, count in self.latencies.items()}
        return RequestCounts(
            self.requests - earlier.requests,
            self.errors - earlier.errors,
            {bucket: count for bucket, count in latencies.items() if count},
        )

    def latency(self, share: float) -> float:
        """Return the latency in milliseconds that a share of the requests does not exceed; 0 without requests.

        Parameters:
            share: between 0 and 1; 0.95 for the 95th percentile.

        Example:
            >>> RequestCounts(latencies={(10.0, 1.0): 90, (100.0, 10.0): 10}).latency(0.95)
            105.0

        """
        wanted = share * self.timed
        seen = 0
        for (lower, width), count in sorted(self.latencies.items()):
            if count and seen + count >= wanted:
                return lower + width * (wanted - seen) / count
            seen += count
        return 0.0

    def document(self) -> dict[str, object]:
        """Return the counts as JSON types."""
        buckets = [[lower, width, count] for (lower, width), count in sorted(self.latencies.items())]
        return {"requests": self.requests, "errors": self.errors, "latencies": buckets}

    @classmethod
    def of(cls, document: Mapping[str, object]) -> RequestCounts:
        """Return the counts from a result of `document`."""
        buckets = document["latencies"]
        assert isinstance(buckets, list)  # noqa: S101 - narrows the type
        return cls(
            requests=int(str(document["requests"])),
            errors=int(str(document["errors"])),
            latencies={(float(lower), float(width)): int(count) for lower, width, count in buckets},
        )
