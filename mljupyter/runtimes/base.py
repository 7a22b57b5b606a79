"""What the controller needs of any way to run replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mljupyter.engine.replicas.replica_key import HEADER as KEY_HEADER
from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.errors import MLJupyterError
from mljupyter.spec import VersionSpec

if TYPE_CHECKING:
    from mljupyter.runtimes.usage import Usage


class RuntimeUnavailableError(MLJupyterError):
    """A compute target cannot run replicas now: it is unknown, not installed, or does not answer."""


@dataclass(frozen=True)
class ReplicaOrder:
    """A replica to start: which version of which endpoint, and everything it is started from."""

    id: str
    endpoint: str
    version: str
    revision: str
    target: str
    workspace: str
    spec: VersionSpec


@dataclass(frozen=True)
class RunningReplica:
    """A replica that exists.

    `address` is ``unix:PATH`` or ``HOST:PORT``, `started_time` seconds since the epoch. `pid` is None where the
    replica is not a process of this machine. `key` is the secret without which it answers its health alone, None where
    it asks for none.
    """

    id: str
    endpoint: str
    version: str
    revision: str
    target: str
    address: str
    pid: int | None
    started_time: float
    key: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a request to it needs."""
        return {KEY_HEADER: self.key} if self.key is not None else {}


@dataclass(frozen=True)
class Ending:
    """How a replica ended: its exit status where that is known, and the reason where there is more to say."""

    exit_status: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class LogPart:
    """What a log has after a place in it: whole lines with their ends, and the place behind them.

    `lost` tells that the log no longer has what came directly after the place.
    """

    lines: list[str]
    cursor: str | None
    lost: bool = False


class ReadsOn(Protocol):
    """Reads a log from a place on."""

    def __call__(self, cursor: str | None, most_bytes: int | None = None) -> LogPart:
        """Return what comes after `cursor`, all there is for None; about `most_bytes` of it at most."""
        ...


@dataclass(frozen=True)
class ReplicaLog:
    """A log of one replica, running or ended. `lines` opens it and yields its lines with their line ends.

    `before` does so for the process that has run ``init()`` for it, where that is another one. `after` reads on.
    """

    replica_id: str
    started_time: float
    lines: Callable[[], Iterator[str]]
    before: Callable[[], Iterator[str]] | None = None
    after: ReadsOn = lambda cursor, most_bytes=None: LogPart([], cursor)


class Runtime(Protocol):
    """Starts, stops and observes replicas. Replicas outlive the process that started them."""

    async def adopt(self) -> list[RunningReplica]:
        """Return all replicas that run, whoever started them, and end what can be no one's."""
        ...

    async def start(self, order: ReplicaOrder) -> RunningReplica:
        """Start a replica; it may not be ready yet."""
        ...

    async def ended(self, replica: RunningReplica) -> Ending:
        """Return when the replica has ended, and how."""
        ...

    def stop(self, replica: RunningReplica) -> None:
        """Ask the replica to finish what it is doing and end; return at once."""
        ...

    def kill(self, replica: RunningReplica) -> None:
        """End the replica; return at once."""
        ...

    async def forget(self, endpoint: str, version: str | None = None) -> None:
        """Remove what ended replicas of an endpoint, or of one version, left behind."""
        ...

    async def last_lines(self, replica: RunningReplica, count: int) -> list[str]:
        """Return the last lines of a replica's log."""
        ...

    def logs(self, endpoint: str, version: str | None = None) -> list[ReplicaLog]:
        """Return the logs of an endpoint's replicas, ended ones included. May block."""
        ...

    def records(self, endpoint: str | None = None, version: str | None = None) -> list[ReplicaLog]:
        """Return the records of requests of an endpoint's replicas, one JSON object a line. May block.

        Without an endpoint, those of all replicas.
        """
        ...

    async def usage(self, replicas: Sequence[RunningReplica], worker_pids: Mapping[str, int]) -> Mapping[str, Usage]:
        """Return CPU time and memory by replica, of those that could be measured now.

        Parameters:
            replicas: which ones.
            worker_pids: replica id to the pid of the process that runs the script, as the replica tells it.

        """
        ...

    async def capacity(self) -> Capacity:
        """Return what the machine has that replicas run on."""
        ...

    async def leave(self) -> None:
        """Stop looking at replicas; they go on."""
        ...


class Runtimes:
    """The runtimes of a controller by compute target; each is made when it is first needed."""

    def __init__(self, factories: Mapping[str, Callable[[], Runtime]]) -> None:
        self._factories = factories
        self._made: dict[str, Runtime] = {}

    def of(self, target: str) -> Runtime:
        """Return the runtime of a compute target.

        Raises:
            RuntimeUnavailableError: when there is none, or it cannot be made here.

        """
        if target not in self._made:
            if target not in self._factories:
                known = ", ".join(sorted(self._factories))
                raise RuntimeUnavailableError(f"there is no compute target {target!r} on this machine: it has {known}.")
            self._made[target] = self._factories[target]()
        return self._made[target]

    def made(self) -> list[Runtime]:
        """Return those made so far."""
        return list(self._made.values())
