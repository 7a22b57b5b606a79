"""The decisions about batches: which requests make the next one, and whether to wait for more. Pure; no clock, no I/O.

Batches form by themselves: what has queued while `run()` was busy is the next batch. The only wait is for the clients
that have just been answered, since many of them ask again at once; it is a tenth of the usual run at most.
"""

from __future__ import annotations

from collections.abc import Iterable

WAIT_SHARE = 0.1
"""The longest wait for a fuller batch, as a share of the usual time of a run."""
SHORTEST_WAIT_SECONDS = 0.001
"""A shorter wait is none: the clock of the event loop counts milliseconds."""
MAX_BATCH_BYTES = 1 << 20
"""The bodies of a batch have at most this size together, unless there is only one: large ones gain nothing."""


def seconds_to_wait(waiting: int, expected: int, most: int, usual_run: float | None, free_for: float) -> float:
    """Return for how long a free `run()` should wait for more requests; 0 means to start with those that wait.

    Parameters:
        waiting: how many requests wait now.
        expected: how many there were when `run()` became free: those it answered, and those that waited then.
        most: how many requests a batch has at most.
        usual_run: seconds that a run takes lately, None before the first.
        free_for: seconds since `run()` became free. Whoever comes later than the longest wait does not wait at all.

    """
    if usual_run is None or waiting >= min(expected, most):
        return 0.0
    left = usual_run * WAIT_SHARE - free_for
    return 0.0 if left < SHORTEST_WAIT_SECONDS else int(left / SHORTEST_WAIT_SECONDS) * SHORTEST_WAIT_SECONDS


def first_batch(sizes: Iterable[int], most: int) -> int:
    """Return how many of the requests that wait, given by the sizes of their bodies in order, make the next batch."""
    count = total = 0
    for size in sizes:
        total += size
        if count == most or (count and total > MAX_BATCH_BYTES):
            break
        count += 1
    return count
