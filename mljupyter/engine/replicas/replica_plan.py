"""The replica plan of one version: the replicas to start, to stop, and to send requests to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mljupyter.engine.replicas.crash_backoff import NO_CRASH, CrashBackoff
from mljupyter.spec import Problem, ReplicaPhase

LOOK_FOR_IDLE = 1.0


@dataclass(frozen=True)
class ReplicaObservation:
    """The last observation of a replica.

    Parameters:
        id, revision, phase: the replica, the revision it was started from, and its phase.
        since: its start time, on the caller's clock in seconds.
        busy: whether it has requests, if the router was asked.
        lost: whether its socket was removed, so that no new connection reaches it. Another replica takes its place,
            as in an update.
        silence: the reason why requests may fail although the replica runs, as text that completes "the replica ...";
            None when requests are answered.
        obstacle: the reason why it cannot start yet, if its target knows one; it may go away by itself.
        version: name of the version.
        address: ``unix:PATH`` or ``HOST:PORT``.
        key: the secret that its requests need; None when they need none.
        pid: process id; None when the replica is not a process of this machine.
        started_time: its start time in seconds since the epoch.

    """

    id: str
    revision: str
    phase: ReplicaPhase
    since: float = 0.0
    busy: bool = False
    lost: bool = False
    silence: str | None = None
    obstacle: Problem | None = None
    version: str = ""
    address: str = ""
    key: str | None = field(default=None, repr=False)
    pid: int | None = None
    started_time: float = 0.0

    @property
    def serving(self) -> bool:
        """Whether it is starting or ready, that is neither draining nor gone."""
        return self.phase in (ReplicaPhase.STARTING, ReplicaPhase.READY)


@dataclass(frozen=True)
class DesiredVersion:
    """The desired state of one version, and the part of its past that the plan depends on.

    Parameters:
        revision: the revision to run.
        replicas: the number of replicas to run.
        ready_revision: the newest revision whose replicas were all ready. They are started again when they crash.
        failed_revision: the revision that crashed before it was ever ready. It is not retried until the spec changes.
        crashes: the crashes so far.
        most: the number above which even busy replicas are stopped; by default `replicas`.
        may_sleep: whether the version may have no replica. Its requests wait for one then.
        shortage: the reason why not all replicas fit on the machine; None when they do.
        wake_wait_ms: the longest wait of a request for the first replica, in milliseconds.

    """

    revision: str
    replicas: int
    ready_revision: str | None = None
    failed_revision: str | None = None
    crashes: CrashBackoff = NO_CRASH
    most: int | None = None
    may_sleep: bool = False
    shortage: str | None = None
    wake_wait_ms: int = 0

    @property
    def attainable(self) -> str | None:
        """The revision to run: the desired one, or while that cannot start, the last one that could."""
        return self.ready_revision if self.failed_revision == self.revision else self.revision

    @property
    def unschedulable(self) -> bool:
        """Whether not even one replica fits on the machine."""
        return self.shortage is not None and not self.replicas


@dataclass(frozen=True)
class ReplicaPlan:
    """The next actions for one version.

    Parameters:
        revision: the revision to start replicas of.
        start: the number of replicas to start.
        drain: ids of the replicas to stop.
        routed: ids of the replicas that requests may go to.
        starting: whether these are still starting, after the version has lost all its replicas. Requests wait for them.
        waiting: whether requests wait until there is a replica.
        complete: whether all desired replicas are ready.
        look_again_at: the time in seconds at which the plan changes without any event; None when it does not.

    """

    revision: str | None = None
    start: int = 0
    drain: tuple[str, ...] = ()
    routed: tuple[str, ...] = ()
    starting: bool = False
    waiting: bool = False
    complete: bool = False
    look_again_at: float | None = None


def plan(desired: DesiredVersion, replicas: Sequence[ReplicaObservation], now: float) -> ReplicaPlan:
    """Return the next actions for one version.

    New replicas become ready before old ones stop. Requests move when all new replicas are ready. A revision that
    failed to start is not retried, and the old one keeps its requests.

    Parameters:
        desired: the desired state.
        replicas: all replicas of the version, of any revision and in any phase.
        now: the time on the clock of `ReplicaObservation.since` and of `CrashBackoff.last`, in seconds.

    """
    revision = desired.attainable
    wanted = desired.replicas if revision is not None else 0
    groups = _Groups.of(revision, desired.failed_revision, replicas)
    complete = len(groups.ready) >= wanted and not desired.unschedulable
    surplus = _surplus(groups.current, wanted, wanted if desired.most is None else desired.most)
    drain = surplus + [
        replica
        for replica in groups.old
        if complete or _useless(replica) or replica.revision == desired.failed_revision
    ]
    start, look_again_at = _missing(desired, wanted - len(groups.current), now)
    if len(groups.current) - len(surplus) > wanted:
        look_again_at = now + LOOK_FOR_IDLE
    routed = [replica for replica in _routed(desired, groups, complete) if replica not in drain]
    return ReplicaPlan(
        revision=revision,
        start=start,
        drain=tuple(replica.id for replica in drain),
        routed=tuple(replica.id for replica in routed),
        starting=any(replica.phase is ReplicaPhase.STARTING for replica in routed),
        waiting=desired.may_sleep and desired.ready_revision is not None and not routed,
        complete=complete and revision is not None,
        look_again_at=look_again_at,
    )


@dataclass(frozen=True)
class _Groups:
    current: list[ReplicaObservation] = field(default_factory=list)
    ready: list[ReplicaObservation] = field(default_factory=list)
    old: list[ReplicaObservation] = field(default_factory=list)
    old_ready: list[ReplicaObservation] = field(default_factory=list)
    lost: list[ReplicaObservation] = field(default_factory=list)

    @classmethod
    def of(cls, revision: str | None, failed: str | None, replicas: Sequence[ReplicaObservation]) -> _Groups:
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


def _useless(replica: ReplicaObservation) -> bool:
    """Return whether a replica never had a request and never will: it can stop before another one is ready."""
    return replica.lost and replica.phase is ReplicaPhase.STARTING


def _routed(desired: DesiredVersion, groups: _Groups, complete: bool) -> list[ReplicaObservation]:
    if complete:
        return groups.ready
    if groups.old_ready:
        return groups.old_ready
    if groups.ready:
        return groups.ready
    # The version has served before and lost all its replicas. Starting replicas answer "busy", so the router holds
    # requests for them and does not refuse them. For a version that may sleep, the activator holds requests.
    if desired.ready_revision is not None and not desired.may_sleep and groups.current:
        return groups.current
    # Connections that the router has kept open still reach a replica whose socket was removed.
    return groups.lost


def _missing(desired: DesiredVersion, missing: int, now: float) -> tuple[int, float | None]:
    if missing <= 0:
        return 0, None
    may_start_at = desired.crashes.may_start_at
    return (missing, None) if now >= may_start_at else (0, may_start_at)


def _surplus(current: Sequence[ReplicaObservation], wanted: int, most: int) -> list[ReplicaObservation]:
    """Return the replicas to stop when there are too many: starting ones first, then idle ones, newest first.

    Busy replicas stay until they are idle, unless there are more than `most`.
    """
    count, forced = len(current) - wanted, len(current) - most
    if count <= 0:
        return []
    order = sorted(current, key=lambda replica: (replica.phase is ReplicaPhase.READY, replica.busy, -replica.since))
    return [replica for place, replica in enumerate(order[:count]) if place < forced or not replica.busy]
