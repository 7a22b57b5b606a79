"""Admission control of requests: run now, queue, or refuse (503). Pure decisions without clock or I/O.

A request from the router waits here for a moment and is then refused as *busy*, so that the router tries another
replica. It must not wait long while another replica is idle; but to send it around at once would cost router and
replicas more than a short run. The moment grows with the time the request has waited already, and with its size, since
a large body costs more to send again. When the moment is over, the request stays if its turn comes before it would be
back. Without a router there is no other replica, so the request waits here up to the limit.

With batching, the requests that wait while `run()` is busy form the next batch. So one batch may wait for one run,
however long that takes: on another replica those requests would only make other batches smaller.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

SHORTEST_STAY_SECONDS = 0.05
"""The shortest time a request from the router waits here before it is refused as busy."""
LONGEST_STAY_SECONDS = 0.1
STAY_SHARE = 1 / 8
"""The time it may wait here, as a share of the time it has waited already: this bounds what an idle replica misses."""
SEND_BYTES_PER_SECOND = 4_000_000
"""A request may wait longer by the time its body takes at this rate. The rate is far below the real one, since sending
a body again costs the router and two replicas processor time: with 1 MB at 8 connections, 7.7 ms of it instead of
2.2."""
LONGEST_SEND_SECONDS = 1.0
"""The limit of that extra time, whatever the size."""
LONGEST_ABSENCE_SECONDS = 0.05
"""A request that is refused as busy is back within this time: the router waits up to 25 ms, and machines are slow."""
MAX_WAITING = 1000


class Action(Enum):
    """What to do with a request."""

    RUN = "run"
    WAIT = "wait"
    BUSY = "busy"
    """Refuse so that the router tries another replica."""
    OVERDUE = "overdue"
    """Refuse for good: the request has waited as long as a request may."""


class Decision(NamedTuple):
    """An action. For WAIT also the timeout in seconds, and the action when it has passed."""

    action: Action
    timeout: float = 0.0
    then: Action = Action.OVERDUE


class Load(NamedTuple):
    """The present load of a replica; times in seconds.

    `usual_run` is the recent average of a run (None before the first), `shortest_elapsed` the time since the latest
    run was started, `batch` the largest number of requests in one run, `most_waiting` the limit of waiting requests.
    """

    ready: bool
    running: int
    waiting: int
    concurrency: int
    usual_run: float | None
    shortest_elapsed: float
    batch: int = 1
    most_waiting: int = MAX_WAITING


_RUN = Decision(Action.RUN)
_BUSY = Decision(Action.BUSY)
_OVERDUE = Decision(Action.OVERDUE)


def admit(load: Load, routed_age: float | None, max_wait: float, size: int = 0) -> Decision:
    """Decide on a request that has just arrived.

    Parameters:
        load: the present load of the replica.
        routed_age: seconds since the router received the request; None if it did not come from the router.
        max_wait: the longest time that a request may wait, in seconds.
        size: the size of its body in bytes.

    """
    if load.ready and load.running < load.concurrency and load.waiting < load.batch:
        return _RUN
    full = load.waiting >= load.most_waiting
    if routed_age is None:
        return _OVERDUE if full or max_wait <= 0 else Decision(Action.WAIT, max_wait)
    if routed_age >= max_wait:
        return _OVERDUE
    if full or not load.ready:
        return _BUSY
    remaining, stay = max_wait - routed_age, _stay(load, routed_age, size)
    if remaining <= stay:
        return Decision(Action.WAIT, remaining, Action.OVERDUE)
    return Decision(Action.WAIT, stay, Action.BUSY)


def keep(load: Load, ahead: int) -> float:
    """Return how many seconds more a request may wait here when its stay is over; 0 if it is refused as busy now.

    A request whose turn comes while it is away loses it to one that has waited less. So it stays if its turn is near.

    Parameters:
        load: the present load of the replica.
        ahead: the number of requests that wait before it.

    """
    if not load.ready or load.usual_run is None:
        return 0.0
    runs_before = ahead // (load.batch * load.concurrency)
    until_turn = max(load.usual_run - load.shortest_elapsed, 0.0) + runs_before * load.usual_run
    return LONGEST_STAY_SECONDS if until_turn <= LONGEST_ABSENCE_SECONDS else 0.0


def _stay(load: Load, age: float, size: int) -> float:
    """Return how many seconds a request from the router should wait here before it is refused as busy."""
    stay = min(max(age * STAY_SHARE, SHORTEST_STAY_SECONDS), LONGEST_STAY_SECONDS)
    stay += min(size / SEND_BYTES_PER_SECOND, LONGEST_SEND_SECONDS)
    if load.batch > 1 and load.waiting < load.batch:
        until_next_batch = 2 * (load.usual_run or 0.0) - load.shortest_elapsed
        return max(stay, SHORTEST_STAY_SECONDS + until_next_batch)
    return stay
