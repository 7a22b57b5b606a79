"""What holds of a piece of the soak, and what does not: decisions on numbers that were recorded."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

WARM_UP_SECONDS = 3600.0
MOST_GROWTH = 0.05
"""Growth of memory after the first hour, at most."""
SHORT_WARM_UP = 1 / 3
SHORT_MOST_GROWTH = 0.25
"""A piece of less than two hours warms up for a third of its length, and may grow by so much after that."""
MOST_DESCRIPTORS = 5
"""File descriptors that a process may have more at the end, at the moment with the fewest connections."""
MOST_DISK_GROWTH = 0.05
DISK_SLACK = 2_000_000
"""Bytes that the workspace may take more at the end, beside a share of what it took."""
_FEWEST = 10
"""Samples after the warm-up, below which nothing is said."""

Sample = tuple[float, float]
"""Seconds since the start of the piece, and a value."""


@dataclass(frozen=True)
class Growth:
    """How a value changed after the warm-up: in the first and the last fifth, and the seconds between them."""

    first: float
    last: float
    seconds: float

    @property
    def more(self) -> float:
        """The difference."""
        return self.last - self.first

    @property
    def share(self) -> float:
        """The difference as a share of what was there first."""
        return self.more / self.first if self.first else 0.0

    @property
    def share_per_hour(self) -> float:
        """The same by hour."""
        return self.share * 3600 / self.seconds


def warm_up(seconds: float) -> float:
    """Return the seconds at the start of a piece of this length that say nothing about growth."""
    return WARM_UP_SECONDS if seconds >= 2 * WARM_UP_SECONDS else seconds * SHORT_WARM_UP


def most_growth(seconds: float) -> float:
    """Return the growth of memory that a piece of this length may show after its warm-up."""
    return MOST_GROWTH if seconds >= 2 * WARM_UP_SECONDS else SHORT_MOST_GROWTH


def growth(
    samples: Sequence[Sample], after: float, of: Callable[[Sequence[float]], float] = statistics.median
) -> Growth | None:
    """Return how a value changed after a moment; None if there are too few samples to say.

    Medians of the first and the last fifth are compared, so that a moment of much work does not decide. For a value
    that comes and goes with the load, such as open connections, `of` is `min`: a leak raises the least one, too.

    Example:
        >>> growth([(60.0 * minute, 100.0 + minute) for minute in range(60)], after=600).more
        40.0

    """
    late = [sample for sample in samples if sample[0] >= after]
    if len(late) < _FEWEST:
        return None
    fifth = max(len(late) // 5, 1)
    first, last = late[:fifth], late[-fifth:]
    between = statistics.median(time for time, _ in last) - statistics.median(time for time, _ in first)
    values = (of([value for _, value in part]) for part in (first, last))
    return Growth(*values, between)


def longest_lived(by_process: Mapping[str, Sequence[Sample]]) -> list[Sample]:
    """Return the sums of the processes that were seen most often: others were replaced meanwhile, and say less.

    Example:
        >>> longest_lived({"1": [(0, 5.0), (60, 6.0)], "2": [(60, 9.0)], "3": [(0, 1.0), (60, 1.0)]})
        [(0, 6.0), (60, 7.0)]

    """
    most = max(map(len, by_process.values()), default=0)
    sums: dict[float, float] = defaultdict(float)
    for samples in by_process.values():
        if len(samples) == most:
            for moment, value in samples:
                sums[moment] += value
    return sorted(sums.items())


def by_class(statuses: Mapping[int, int]) -> dict[str, int]:
    """Return the columns of the metrics for statuses that clients have counted.

    Example:
        >>> by_class({200: 5, 401: 2, 503: 1})
        {'requests': 8, 'client_errors': 2, 'server_errors': 0, 'refused': 1, 'timeouts': 0}

    """

    def of(first: int, last: int) -> int:
        return sum(number for status, number in statuses.items() if first <= status <= last)

    return {
        "requests": sum(statuses.values()),
        "client_errors": of(400, 499),
        "server_errors": of(500, 599) - of(503, 504),
        "refused": of(503, 503),
        "timeouts": of(504, 504),
    }


def differences(
    clients: Mapping[str, Mapping[str, int]], metrics: Mapping[str, Mapping[str, float]]
) -> list[tuple[str, str, int, float]]:
    """Return endpoint, column, and both numbers of all counts in which clients and metrics differ."""
    return [
        (endpoint, column, number, metrics.get(endpoint, {}).get(column, 0))
        for endpoint, counted in clients.items()
        for column, number in counted.items()
        if metrics.get(endpoint, {}).get(column, 0) != number
    ]


def problems(
    seconds: float,
    unexplained: int,
    differing: Iterable[tuple[str, str, int, float]],
    memory: Mapping[str, Growth | None],
    descriptors: Mapping[str, Growth | None],
    disk: Growth | None,
) -> list[str]:
    """Return what does not hold of a piece of so many seconds, one line each; nothing if all does.

    Parameters:
        seconds: the length of the piece.
        unexplained: how many requests failed without a fault that explains it.
        differing: see `differences`.
        memory: growth of the memory of each role.
        descriptors: growth of the file descriptors of each role.
        disk: growth of the workspace.

    """
    found = [f"{unexplained} requests failed without a fault that explains it"] if unexplained else []
    for endpoint, column, clients, metrics in differing:
        found.append(f"{endpoint}: clients have counted {clients} {column}, metrics() says {metrics:g}")
    limit = most_growth(seconds)
    for role, change in memory.items():
        if change is not None and change.share > limit:
            found.append(f"memory of the {role} has grown by {change.share:.1%} after the warm-up, {limit:.0%} at most")
    for role, change in descriptors.items():
        if change is not None and change.more > MOST_DESCRIPTORS:
            found.append(f"the {role} has {change.more:.0f} file descriptors more, {MOST_DESCRIPTORS} at most")
    if disk is not None and disk.more > MOST_DISK_GROWTH * disk.first + DISK_SLACK:
        found.append(f"the workspace has grown by {disk.more / 1e6:.1f} MB, from {disk.first / 1e6:.1f} MB")
    return found
