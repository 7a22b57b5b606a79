"""Desired against observed replicas of one version: what to start, what to stop, who gets requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mljupyter.spec import ReplicaPhase

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
LOOK_FOR_IDLE = 1.0


@dataclass(frozen=True)
class Replica:
    """A replica as observed. `since` is when it started, on the caller's clock in seconds.

    `busy` tells that it has requests, where somebody has looked. `lost` tells that no new connection reaches it, since
    its socket was removed: another one takes its place, as in an update.
    """

    id: str
    revision: str
    phase: ReplicaPhase
    since: float = 0.0
    busy: bool = False
    lost: bool = False

    @property
    def serving(self) -> bool:
        """Whether it is starting or ready: neither on its way out nor gone."""
        return self.phase in (ReplicaPhase.STARTING, ReplicaPhase.READY)


@dataclass(frozen=True)
class Crashes:
    """What is remembered of replicas that ended by themselves.

    `in_a_row` counts the ends since a replica was last ready for good, `last` is the time of the newest on the
    caller's clock in seconds.
    """

    in_a_row: int = 0
    last: float = 0.0


@dataclass(frozen=True)
class VersionGoal:
    """What is wanted of one version, and what is known of its past.

    `ready_revision` is the newest that was ready as a whole: its replicas are restarted when they crash.
    `failed_revision` crashed before it was ever ready: it is not tried again until the spec changes.
    `most` is the number beyond which replicas stop even while they work; by default `replicas`.
    `may_sleep` tells that there may be none, and requests wait for one; `unschedulable` that even one has no room.
    """

    revision: str
    replicas: int
    ready_revision: str | None = None
    failed_revision: str | None = None
    crashes: Crashes = Crashes()
    most: int | None = None
    may_sleep: bool = False
    unschedulable: bool = False

    @property
    def attainable(self) -> str | None:
        """The revision to run: the wanted one, or while that cannot start the last one that could."""
        return self.ready_revision if self.failed_revision == self.revision else self.revision


@dataclass(frozen=True)
class Plan:
    """What to do now.

    `start` is how many replicas of `revision` to start, `drain` names replicas to stop, `routed` those that
    requests may go to. `waiting` tells that requests wait until there is one. `complete` tells whether all replicas
    wanted are ready. `look_again_at` is when time alone changes the plan.
    """

    revision: str | None = None
    start: int = 0
    drain: tuple[str, ...] = ()
    routed: tuple[str, ...] = ()
    waiting: bool = False
    complete: bool = False
    look_again_at: float | None = None


def pause_after(crashes: int) -> float:
    """Return how long to wait, in seconds, before a replica is started again after so many crashes in a row.

    Example:
        >>> [pause_after(count) for count in (0, 1, 2, 3, 100)]
        [0.0, 0.0, 0.5, 1.0, 30.0]

    """
    if crashes <= 1:
        return 0.0  # the first crash is answered at once: most are one-off
    return min(FIRST_PAUSE * 2.0 ** min(crashes - 2, 16), LONGEST_PAUSE)


def plan(goal: VersionGoal, replicas: Sequence[Replica], now: float) -> Plan:
    """Decide the next step for one version.

    New replicas become ready before old ones stop; requests move when all new ones are ready. A revision whose start
    failed is left alone and the old one keeps its requests.

    Parameters:
        goal: what is wanted.
        replicas: every replica of the version that exists, whatever its revision or phase.
        now: the time on the clock of `Replica.since` and `Crashes.last`, in seconds.

    """
    revision = goal.attainable
    wanted = goal.replicas if revision is not None else 0
    split = _Split.of(revision, goal.failed_revision, replicas)
    complete = len(split.ready) >= wanted and not goal.unschedulable
    surplus = _surplus(split.current, wanted, wanted if goal.most is None else goal.most)
    drain = surplus + [
        replica for replica in split.old if complete or _useless(replica) or replica.revision == goal.failed_revision
    ]
    start, look_again_at = _missing(goal, wanted - len(split.current), now)
    if len(split.current) - len(surplus) > wanted:
        look_again_at = now + LOOK_FOR_IDLE
    routed = [replica for replica in _routed(goal, split, complete) if replica not in drain]
    return Plan(
        revision=revision,
        start=start,
        drain=tuple(replica.id for replica in drain),
        routed=tuple(replica.id for replica in routed),
        waiting=goal.may_sleep and goal.ready_revision is not None and not routed,
        complete=complete and revision is not None,
        look_again_at=look_again_at,
    )


@dataclass(frozen=True)
class _Split:
    current: list[Replica] = field(default_factory=list)
    ready: list[Replica] = field(default_factory=list)
    old: list[Replica] = field(default_factory=list)
    old_ready: list[Replica] = field(default_factory=list)
    lost: list[Replica] = field(default_factory=list)

    @classmethod
    def of(cls, revision: str | None, failed: str | None, replicas: Sequence[Replica]) -> _Split:
        serving = [replica for replica in replicas if replica.serving]
        current = [replica for replica in serving if replica.revision == revision and not replica.lost]
        old = [replica for replica in serving if replica.revision != revision or replica.lost]
        able = [item for item in old if item.phase is ReplicaPhase.READY and item.revision != failed]
        return cls(
            current=current,
            ready=[replica for replica in current if replica.phase is ReplicaPhase.READY],
            old=old,
            old_ready=[replica for replica in able if not replica.lost],
            lost=[replica for replica in able if replica.lost],
        )


def _useless(replica: Replica) -> bool:
    """Return whether a replica never had a request and never will: it can stop before another one is ready."""
    return replica.lost and replica.phase is ReplicaPhase.STARTING


def _routed(goal: VersionGoal, split: _Split, complete: bool) -> list[Replica]:
    if complete:
        return split.ready
    if split.old_ready:
        return split.old_ready
    if split.ready:
        return split.ready
    # A version that served before and lost all its replicas: those that start answer "busy", so that the router
    # holds requests for them instead of refusing. One that may sleep has a better place for them to wait.
    if goal.ready_revision is not None and not goal.may_sleep and split.current:
        return split.current
    # Connections that the router has kept open still reach a replica whose socket is gone.
    return split.lost


def _missing(goal: VersionGoal, missing: int, now: float) -> tuple[int, float | None]:
    if missing <= 0:
        return 0, None
    may_start_at = goal.crashes.last + pause_after(goal.crashes.in_a_row)
    return (missing, None) if now >= may_start_at else (0, may_start_at)


def _surplus(current: Sequence[Replica], wanted: int, most: int) -> list[Replica]:
    """Return the replicas to stop of those beyond the wanted number: starting ones first, then idle, newest first.

    Those that work stay until they are idle, unless there are more than `most`.
    """
    count, forced = len(current) - wanted, len(current) - most
    if count <= 0:
        return []
    order = sorted(current, key=lambda replica: (replica.phase is ReplicaPhase.READY, replica.busy, -replica.since))
    return [replica for place, replica in enumerate(order[:count]) if place < forced or not replica.busy]
