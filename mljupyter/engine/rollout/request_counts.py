"""Request counts and latency histograms that can be added and subtracted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Bucket = tuple[float, float]


@dataclass(frozen=True)
class RequestCounts:
    """Requests of one version: the number of answered and failed ones, and their latencies.

    `errors` are answers of 500 and above. `client_errors`, answers of 400 to 499, are mistakes of clients: they say
    nothing about a version, so that `judged` leaves them out. `latencies` counts requests by bucket: its lower
    bound and its width, in milliseconds.
    """

    requests: int = 0
    errors: int = 0
    latencies: Mapping[Bucket, int] = field(default_factory=dict)
    client_errors: int = 0

    @property
    def timed(self) -> int:
        """The number of requests with a latency, which the router adds a moment after it counts a request."""
        return sum(self.latencies.values())

    @property
    def judged(self) -> int:
        """The number of requests that say whether a version works: all but the mistakes of clients."""
        return max(self.requests - self.client_errors, 0)

    @property
    def error_percentage(self) -> float:
        """The percentage of failed requests among those that are judged; 0 without any.

        Example:
            >>> RequestCounts(requests=1000, errors=5, client_errors=900).error_percentage
            5.0

        """
        return 100.0 * self.errors / self.judged if self.judged else 0.0

    def plus(self, other: RequestCounts) -> RequestCounts:
        """Return the sum of both."""
        latencies = dict(self.latencies)
        for bucket, count in other.latencies.items():
            latencies[bucket] = latencies.get(bucket, 0) + count
        return RequestCounts(
            self.requests + other.requests,
            self.errors + other.errors,
            latencies,
            self.client_errors + other.client_errors,
        )

    def since(self, earlier: RequestCounts) -> RequestCounts:
        """Return the increase of growing counts since an earlier reading. Counts of a restarted source begin at zero.

        Example:
            >>> RequestCounts(10, 1).since(RequestCounts(7, 1))
            RequestCounts(requests=3, errors=0, latencies={}, client_errors=0)
            >>> RequestCounts(2, 0).since(RequestCounts(7, 1)).requests
            2

        """
        grown = (
            self.requests >= earlier.requests
            and self.errors >= earlier.errors
            and self.client_errors >= earlier.client_errors
            and all(self.latencies.get(bucket, 0) >= count for bucket, count in earlier.latencies.items())
        )
        if not grown:
            return self
        latencies = {bucket: count - earlier.latencies.get(bucket, 0) for bucket, count in self.latencies.items()}
        return RequestCounts(
            self.requests - earlier.requests,
            self.errors - earlier.errors,
            {bucket: count for bucket, count in latencies.items() if count},
            self.client_errors - earlier.client_errors,
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
        return {
            "requests": self.requests,
            "errors": self.errors,
            "clientErrors": self.client_errors,
            "latencies": buckets,
        }

    @classmethod
    def of(cls, document: Mapping[str, object]) -> RequestCounts:
        """Return the counts from a result of `document`."""
        buckets = document["latencies"]
        assert isinstance(buckets, list)  # noqa: S101 - narrows the type
        return cls(
            requests=int(str(document["requests"])),
            errors=int(str(document["errors"])),
            latencies={(float(lower), float(width)): int(count) for lower, width, count in buckets},
            client_errors=int(str(document.get("clientErrors", 0))),  # missing in documents of older routers
        )
