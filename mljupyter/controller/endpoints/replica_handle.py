"""ReplicaHandle: a replica with everything a control plane knows about it; ReplicaSupervisor: what manages them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from mljupyter.engine.endpoints.status import ending_text
from mljupyter.engine.replicas.replica_plan import ReplicaObservation
from mljupyter.runtimes.base import Ending, ReplicaOrder, RunningReplica
from mljupyter.spec import LivenessProbe, ReplicaPhase, VersionSpec


@dataclass
class ReplicaHandle:
    """A replica and everything the controller knows about it. Times are of the monotonic clock, in seconds.

    `adopted` means that the replica ran before this controller, `lost` that its socket was removed. `unanswered` counts
    the health checks in a row without an answer.
    """

    replica: RunningReplica
    probe: LivenessProbe
    grace: float
    since: float
    phase: ReplicaPhase = ReplicaPhase.STARTING
    ready_since: float | None = None
    adopted: bool = False
    lost: bool = False
    unanswered: int = 0
    end: Ending = field(default_factory=Ending)
    asked_to_end: bool = False
    last_lines: list[str] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    def observed(self) -> ReplicaObservation:
        """Return the replica as it was observed last, for the decisions in `mljupyter.engine`."""
        replica = self.replica
        return ReplicaObservation(
            replica.id,
            replica.revision,
            self.phase,
            self.since,
            lost=self.lost,
            silence=self.silence,
            version=replica.version,
            address=replica.address,
            key=replica.key,
            pid=replica.pid,
            started_time=replica.started_time,
        )

    @property
    def silence(self) -> str | None:
        """The reason why its requests may fail although it runs, completing "the replica ..."; None without one."""
        if self.phase is not ReplicaPhase.READY:
            return None
        if self.lost:
            return "has lost its socket: another one takes its place"
        if self.unanswered:
            return f"does not answer: it is ended after {self.probe.failure_threshold} health checks without an answer"
        return None

    def ending(self) -> str:
        """Return the ending of the replica as text."""
        return ending_text(self.end.exit_status, self.end.reason)


class ReplicaSupervisor(Protocol):
    """Starts, watches and stops the replicas of all endpoints, and reports each change of a phase."""

    def of(self, endpoint: str) -> list[ReplicaHandle]:
        """Return the replicas of an endpoint."""
        ...

    def all(self) -> list[ReplicaHandle]:
        """Return the replicas of all endpoints."""
        ...

    def endpoints(self) -> set[str]:
        """Return the names of all endpoints that have replicas."""
        ...

    async def adopt(self, target: str, spec_of: Callable[[RunningReplica], VersionSpec | None]) -> None:
        """Adopt the running replicas on a compute target. Those with an unknown spec are ended."""
        ...

    async def start(self, order: ReplicaOrder) -> None:
        """Start a replica and watch it.

        Raises:
            RuntimeUnavailableError: when it cannot be started.

        """
        ...

    def drain(self, replica_id: str) -> None:
        """Ask a replica to finish its requests and end."""
        ...

    def remove(self, replica_id: str) -> ReplicaHandle | None:
        """Forget a replica that has ended, and return its handle."""
        ...

    async def leave(self) -> None:
        """Stop watching. The replicas continue to serve."""
        ...

    async def stop_all(self) -> None:
        """End all replicas, and return when they are gone."""
        ...
