"""What the controller needs of any way to run replicas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mljupyter.spec import VersionSpec


@dataclass(frozen=True)
class ReplicaOrder:
    """A replica to start: which version of which endpoint, and everything it is started from."""

    id: str
    endpoint: str
    version: str
    revision: str
    workspace: str
    spec: VersionSpec


@dataclass(frozen=True)
class RunningReplica:
    """A replica that exists. `started_time` is seconds since the epoch."""

    id: str
    endpoint: str
    version: str
    revision: str
    socket: Path
    pid: int
    started_time: float


class Runtime(Protocol):
    """Starts, stops and observes replicas. Replicas outlive the process that started them."""

    def adopt(self) -> list[RunningReplica]:
        """Return all replicas that run, whoever started them, and end what can be no one's."""
        ...

    async def start(self, order: ReplicaOrder) -> RunningReplica:
        """Start a replica; it may not be ready yet."""
        ...

    async def ended(self, replica: RunningReplica) -> int | None:
        """Return when the replica has ended: its exit status, or None where nobody can tell."""
        ...

    def stop(self, replica: RunningReplica) -> None:
        """Ask the replica to finish what it is doing and end."""
        ...

    def kill(self, replica: RunningReplica) -> None:
        """End the replica at once."""
        ...

    def forget(self, endpoint: str, version: str | None = None) -> None:
        """Remove what ended replicas of an endpoint, or of one version, left behind."""
        ...

    def log_files(self, endpoint: str, version: str | None = None) -> list[Path]:
        """Return the log files of an endpoint's replicas, ended ones included."""
        ...

    def last_lines(self, replica: RunningReplica, count: int) -> list[str]:
        """Return the last lines of a replica's log."""
        ...
