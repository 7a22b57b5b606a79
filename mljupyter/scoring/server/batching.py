"""Batch formation: which requests form the next batch, and how long to wait for more. Pure decisions.

The requests that have queued while `run()` was busy form the next batch. The only wait is for the clients that have
just been answered, since many of them send the next request at once. It takes at most a tenth of a usual run.
"""

from __future__ import annotations

from collections.abc import Iterable

WAIT_SHARE = 0.1
"""The longest wait for a fuller batch, as a share of the usual time of a run."""
SHORTEST_WAIT_SECONDS = 0.001
"""Shorter waits are left out: the timers of the event loop have a resolution of milliseconds."""
MAX_BATCH_BYTES = 1 << 20
"""The limit of the total size of a batch of several requests: large bodies gain nothing from batches."""


def seconds_to_wait(waiting: int, expected: int, most: int, usual_run: float | None, free_for: float) -> float:
    """Return how many seconds a free `run()` should wait for more requests; 0 means to start now.

    Parameters:
        waiting: the number of requests that wait now.
        expected: the number of requests when `run()` became free: those it answered, and those that waited then.
        most: the largest number of requests in a batch.
        usual_run: the recent average of a run in seconds, None before the first.
        free_for: seconds since `run()` became free. A request that comes after the longest wait does not wait.

    """
    if usual_run is None or waiting >= min(expected, most):
        return 0.0
    left = usual_run * WAIT_SHARE - free_for
    return 0.0 if left < SHORTEST_WAIT_SECONDS else int(left / SHORTEST_WAIT_SECONDS) * SHORTEST_WAIT_SECONDS


def first_batch(sizes: Iterable[int], most: int) -> int:
    """Return how many of the waiting requests, given by the sizes of their bodies in order, form the next batch."""
    count = total = 0
    for size in sizes:
        total += size
        if count == most or (count and total > MAX_BATCH_BYTES):
            break
        count += 1
    return count
