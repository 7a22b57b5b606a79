"""The decision what becomes of a request: run it, let it wait, or send it away. Pure; no clock, no I/O.

Behind the router a request waits here for a moment, then is sent away as *busy* so that the router tries elsewhere:
it never stays long beside an idle replica, and is not sent around all the time either, which costs both processes more
than short runs do. The moment grows with the time it has waited already and with its size, since a large body costs
more to send again. Without a router there is nowhere else, so it waits here, within limits.

With batching, those that wait while `run()` is busy are run together after it, so as many as make a batch may wait
for one run, however long it usually takes: at another replica they would only make that one's batches smaller.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

SHORTEST_STAY_SECONDS = 0.05
"""How long a routed request waits here at least before it is sent away."""
LONGEST_STAY_SECONDS = 0.1
STAY_SHARE = 1 / 8
"""Which part of the time it has waited already it may stay here: what is lost beside an idle replica is bounded."""
SEND_BYTES_PER_SECOND = 4_000_000
"""As long as a body takes at this rate it may stay longer: far longer than it takes, since to send it again costs the
router and two replicas processor time. Measured with 1 MB at 8 connections: 2.2 ms of it instead of 7.7."""
LONGEST_SEND_SECONDS = 1.0
"""How much longer it may stay at most, whatever its size."""
MAX_WAITING = 1000


class Action(Enum):
    """What to do with a request."""

    RUN = "run"
    WAIT = "wait"
    BUSY = "busy"
    """Refuse so that the router tries another replica."""
    OVERDUE = "overdue"
    """Refuse for good: it has waited as long as a request may."""


class Decision(NamedTuple):
    """An action and, for WAIT, after how many seconds to give up and what the refusal is then."""

    action: Action
    patience: float = 0.0
    then: Action = Action.OVERDUE


class Load(NamedTuple):
    """What a replica has to do at the moment; times in seconds.

    `usual_run` is what a run takes lately (None before the first), `shortest_elapsed` how long the one that was
    started last has been running, `batch` how many requests one run takes at most, `most_waiting` how many may wait.
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

    `routed_age` is how many seconds ago the router took the request, None without a router; `max_wait` is the
    longest that any request may wait, in seconds; `size` is that of its body in bytes.
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


def _stay(load: Load, age: float, size: int) -> float:
    """Return for how many seconds a routed request should wait here before it is sent elsewhere."""
    stay = min(max(age * STAY_SHARE, SHORTEST_STAY_SECONDS), LONGEST_STAY_SECONDS)
    stay += min(size / SEND_BYTES_PER_SECOND, LONGEST_SEND_SECONDS)
    if load.batch > 1 and load.waiting < load.batch:
        until_next_batch = 2 * (load.usual_run or 0.0) - load.shortest_elapsed
        return max(stay, SHORTEST_STAY_SECONDS + until_next_batch)
    return stay
