"""The decision what becomes of a request: run it, let it wait, or send it away. Pure; no clock, no I/O.

Behind the router a request that would wait long is better off at another replica, so the answer is *busy* at once
and the router tries elsewhere. Without a router there is nowhere else, so it waits here, within limits.

With batching, those that wait while `run()` is busy are run together after it, so as many as make a batch may wait
for one run, however long it usually takes: at another replica they would only make that one's batches smaller.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

SHORT_WAIT_SECONDS = 0.005
"""A routed request may wait here if it should take less than this: going elsewhere would take longer."""
LOST_PATIENCE_SECONDS = 0.02
"""After this a routed request is sent on after all: the expectation was wrong."""
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
    started last has been running, `batch` how many requests one run takes at most.
    """

    ready: bool
    running: int
    waiting: int
    concurrency: int
    usual_run: float | None
    shortest_elapsed: float
    batch: int = 1


_RUN = Decision(Action.RUN)
_BUSY = Decision(Action.BUSY)
_OVERDUE = Decision(Action.OVERDUE)


def admit(load: Load, routed_age: float | None, max_wait: float) -> Decision:
    """Decide on a request that has just arrived.

    `routed_age` is how many seconds ago the router took the request, None without a router; `max_wait` is the
    longest that any request may wait, in seconds.
    """
    if load.ready and load.running < load.concurrency and load.waiting < load.batch:
        return _RUN
    if routed_age is None:
        if load.waiting >= MAX_WAITING or max_wait <= 0:
            return _OVERDUE
        return Decision(Action.WAIT, max_wait)
    if routed_age >= max_wait:
        return _OVERDUE
    patience = _patience(load) if load.ready and load.waiting < MAX_WAITING else 0.0
    if not patience:
        return _BUSY
    remaining = max_wait - routed_age
    if remaining <= patience:
        return Decision(Action.WAIT, remaining, Action.OVERDUE)
    return Decision(Action.WAIT, patience, Action.BUSY)


def expected_wait(load: Load) -> float:
    """Return the seconds until a call that arrives now would start; infinite before the first call has ended.

    A call that already runs longer than usual is expected to need as long again as it has run.
    """
    if load.usual_run is None:
        return float("inf")
    runs_before = load.waiting // load.batch
    return max(load.usual_run, load.shortest_elapsed) + load.usual_run * runs_before / load.concurrency


def _patience(load: Load) -> float:
    """Return for how many seconds a routed request should wait here at most; 0 if it should not wait at all."""
    if load.batch > 1 and load.waiting < load.batch:
        patience = LOST_PATIENCE_SECONDS + 2 * (load.usual_run or 0.0)
        return max(0.0, patience - load.shortest_elapsed)
    return LOST_PATIENCE_SECONDS if expected_wait(load) < SHORT_WAIT_SECONDS else 0.0
