"""Samples of a version: counts in an interval, gauges at its end, and resource usage of its replicas."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace

from mljupyter.telemetry.metrics.histogram import Histogram, merged


@dataclass(frozen=True)
class Counts:
    """Counters of an interval, or since the start of a source. They can be added.

    Each answer to a client counts once in `requests`, and in at most one of the classes of errors:

    - `client_errors`: answered 400 to 499
    - `refused`: answered 503: no replica was free or ready in time
    - `timeouts`: answered 504: `run()` took too long
    - `server_errors`: any other answer of 500 and above
    - `resets`: connections to replicas that broke during a request; the router may have retried it successfully
    - `retries`: requests that the router sent to another replica, mostly because the first one was busy
    - `mirrored`: copies that were sent to the version; not in `requests`
    - `bytes_in`, `bytes_out`: bytes sent to replicas and received from them, headers and retries included
    - `started`: requests passed to `run()`, with `wait_microseconds` from the router until then
    - `streamed`: answers in pieces, with `first_byte_microseconds` from the request at the router to the first piece
    - `runs`: calls of `run()`, which took `run_microseconds`
    - `latency`: time from the complete request to the complete answer at the router, refusals included
    """

    requests: int = 0
    client_errors: int = 0
    server_errors: int = 0
    refused: int = 0
    timeouts: int = 0
    resets: int = 0
    retries: int = 0
    mirrored: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    started: int = 0
    runs: int = 0
    run_microseconds: int = 0
    wait_microseconds: int = 0
    streamed: int = 0
    first_byte_microseconds: int = 0
    latency: Histogram = field(default_factory=Histogram)

    @classmethod
    def of(cls, numbers: Iterable[int], latency: Histogram) -> Counts:
        """Return counts from numbers in the order of `COUNTERS`."""
        return cls(**dict(zip(COUNTERS, numbers, strict=True)), latency=latency)

    def since(self, earlier: Counts) -> Counts:
        """Return the increase since an earlier reading of the same source.

        Lower counts mean that the source was restarted in between: it counts from zero.
        """
        latency = self.latency.since(earlier.latency)
        if latency is None or any(getattr(self, name) < getattr(earlier, name) for name in COUNTERS):
            return self
        return Counts.of((getattr(self, name) - getattr(earlier, name) for name in COUNTERS), latency)

    def answered(self, answers: Counts) -> Counts:
        """Return these counts with the numbers of requests, and of each class of errors, of others."""
        changed = replace(self, **{name: getattr(answers, name) for name in ANSWERS})
        return NOTHING if changed == NOTHING else changed

    def at_most(self, other: Counts) -> Counts:
        """Return these counts without the requests, and errors of each class, that others do not have.

        Example:
            >>> Counts(requests=5, client_errors=2).at_most(Counts(requests=3)).requests
            3

        """
        return Counts(**{name: min(getattr(self, name), getattr(other, name)) for name in ANSWERS})

    def plus(self, other: Counts) -> Counts:
        """Return the sum of both."""
        return total((self, other))


ANSWERS = ("requests", "client_errors", "server_errors", "refused", "timeouts")
"""The counters of answers to clients."""
COUNTERS = tuple(item.name for item in fields(Counts) if item.name != "latency")


NOTHING = Counts()


def total(counts: Iterable[Counts]) -> Counts:
    """Return the sum of counts."""
    items = [item for item in counts if item is not NOTHING]  # most versions are idle most of the time
    if not items:
        return NOTHING
    if len(items) == 1:
        return items[0]
    sums = (sum(getattr(item, name) for item in items) for name in COUNTERS)
    return Counts.of(sums, merged(item.latency for item in items))


@dataclass(frozen=True)
class Levels:
    """Gauges of a version.

    `running` and `waiting` are numbers of requests. `weight` is the percentage of the endpoint's requests that the
    router is configured to send to the version.
    """

    running: float = 0
    waiting: float = 0
    replicas_wanted: int = 0
    replicas_ready: int = 0
    weight: int = 0


@dataclass(frozen=True)
class Interval:
    """One version between two readings. `time` is its end in seconds since the epoch, `seconds` its length."""

    time: int
    version: str
    seconds: float
    counts: Counts
    levels: Levels


@dataclass(frozen=True)
class Usage:
    """The cores and memory that a replica used at `time`, the last measurement, and the use of its GPUs if any."""

    time: int
    version: str
    replica: str
    cores: float
    memory_bytes: int
    gpu_percent: float | None = None
    gpu_memory_bytes: float | None = None
