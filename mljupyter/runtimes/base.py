"""Runtime: the interface between the control plane and one way of running replicas, such as processes or containers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from mljupyter.engine.replicas.replica_key import HEADER as KEY_HEADER
from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.errors import MLJupyterError
from mljupyter.runtimes.accelerators import AcceleratorPool
from mljupyter.runtimes.replica_layout import ContentStore
from mljupyter.spec import VersionSpec


class RuntimeUnavailableError(MLJupyterError):
    """A compute target cannot run replicas now: it is unknown, not installed, or does not answer."""


@dataclass(frozen=True)
class ReplicaOrder:
    """A replica to start: its version, and everything it is started from."""

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

    Attributes:
        address: ``unix:PATH`` or ``HOST:PORT``.
        pid: the pid of its process; None where the replica is not a process of this machine.
        started_time: seconds since the epoch.
        key: the secret that requests must carry, except those for its health; None if it requires none.
        measures_itself: whether it reports its own CPU time and memory, because its runtime cannot measure them.
        accelerators: the ids of the accelerators of this machine that it was given.

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
    measures_itself: bool = False
    accelerators: tuple[str, ...] = ()

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a request to the replica needs."""
        return {KEY_HEADER: self.key} if self.key is not None else {}


@dataclass(frozen=True)
class Ending:
    """The end of a replica: its exit status if known, and a reason if the status does not say everything."""

    exit_status: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Usage:
    """CPU time in seconds since a replica started, and memory in bytes.

    `gpu_percent` is the mean percentage of the time in which its accelerators worked, and `gpu_memory_bytes` the memory
    in use on them; None without accelerators, or where they cannot be measured.
    """

    cpu_seconds: float
    memory_bytes: int
    gpu_percent: float | None = None
    gpu_memory_bytes: int | None = None


def with_accelerators(usages: Mapping[str, Usage], pool: AcceleratorPool) -> dict[str, Usage]:
    """Return usages, by replica, with the use of the accelerators of each replica."""
    return {
        replica_id: usage
        if (use := pool.use(replica_id)) is None
        else replace(usage, gpu_percent=use.percent, gpu_memory_bytes=use.memory_bytes)
        for replica_id, usage in usages.items()
    }


@dataclass(frozen=True)
class LogPart:
    """The part of a log that follows a cursor: whole lines with their line ends, and the cursor after them.

    `lost` is True when the log has been rotated and no longer has the lines directly after the given cursor.
    """

    lines: list[str]
    cursor: str | None
    lost: bool = False


class LogReader(Protocol):
    """Reads a log from a cursor on."""

    def __call__(self, cursor: str | None, most_bytes: int | None = None, tail: int | None = None) -> LogPart:
        """Return the lines after `cursor`, from the beginning for None; stop after about `most_bytes`.

        With `tail` and without a cursor, the lines before the last `tail` ones may be left out.
        """
        ...


@dataclass(frozen=True)
class ReplicaLog:
    """The log of one replica, running or ended.

    Attributes:
        replica_id: the replica.
        started_time: seconds since the epoch.
        lines: opens the log and yields its lines with their line ends.
        before: does the same for the zygote that ran ``init()`` for the replica; None without a zygote.
        after: reads the log from a cursor on.

    """

    replica_id: str
    started_time: float
    lines: Callable[[], Iterator[str]]
    before: Callable[[], Iterator[str]] | None = None
    after: LogReader = lambda cursor, most_bytes=None, tail=None: LogPart([], cursor)


class Runtime(Protocol):
    """Starts, stops and observes the replicas of one compute target.

    Replicas outlive the process that started them: the runtime of a later process adopts them.
    """

    @property
    def target(self) -> str:
        """The compute target whose replicas it runs."""
        ...

    async def adopt(self) -> list[RunningReplica]:
        """Return all running replicas, including those of an earlier process. End those that no endpoint can own."""
        ...

    async def start(self, order: ReplicaOrder) -> RunningReplica:
        """Start a replica; it may not be ready yet.

        Raises:
            RuntimeUnavailableError: when it cannot be started.

        """
        ...

    async def ended(self, replica: RunningReplica) -> Ending:
        """Wait until the replica has ended; return how."""
        ...

    def stop(self, replica: RunningReplica) -> None:
        """Ask the replica to finish its requests and end; return at once."""
        ...

    def kill(self, replica: RunningReplica) -> None:
        """End the replica; return at once."""
        ...

    async def forget(self, endpoint: str, version: str | None = None) -> None:
        """Remove the files or containers that ended replicas of an endpoint, or of one version, left behind."""
        ...

    async def last_lines(self, replica: RunningReplica, count: int) -> list[str]:
        """Return the last lines of a replica's log."""
        ...

    def logs(self, endpoint: str, version: str | None = None) -> list[ReplicaLog]:
        """Return the logs of an endpoint's replicas, ended ones included. May block."""
        ...

    def records(self, endpoint: str | None = None, version: str | None = None) -> list[ReplicaLog]:
        """Return the request logs of an endpoint's replicas, one JSON object per line. May block.

        Without an endpoint, return those of all replicas.
        """
        ...

    async def usage(self, replicas: Sequence[RunningReplica], worker_pids: Mapping[str, int]) -> Mapping[str, Usage]:
        """Return CPU time and memory by replica id. Replicas that could not be measured now are left out.

        Parameters:
            replicas: the replicas to measure.
            worker_pids: replica id to the pid of the process that runs the script, as the replica reports it.

        """
        ...

    async def capacity(self) -> Capacity | None:
        """Return the size of the machine that replicas run on; None where a cluster decides what fits."""
        ...

    async def leave(self) -> None:
        """Stop watching replicas; they continue to run."""
        ...


@dataclass(frozen=True)
class RuntimeContext:
    """The places of a workspace that its runtimes use.

    Attributes:
        workspace: the workspace's directory.
        replicas: directory for the records and logs of replicas.
        revisions: directory for app roots, one for each revision.
        collected: directory for data that scripts collect, with one directory for each endpoint.
        sockets: returns the directory for sockets; it can change, since a removed one is made again elsewhere.
        contents: the store that code and models come from.
        workspace_key: returns the secret that the keys of replicas are derived from.
        accelerators: the accelerators of this machine, which its runtimes share.

    """

    workspace: Path
    replicas: Path
    revisions: Path
    collected: Path
    sockets: Callable[[], Path]
    contents: ContentStore
    workspace_key: Callable[[], bytes]
    accelerators: AcceleratorPool = field(default_factory=AcceleratorPool)


@dataclass(frozen=True)
class RuntimeKind:
    """The description of a way of running replicas, for use before its runtime is created.

    Attributes:
        target: the compute target whose replicas it runs.
        make: creates the runtime, or raises `RuntimeUnavailableError` if that is impossible.
        request_logs: returns a function that lists the request logs of all replicas, without a runtime. Its arguments
            are the workspace's directory and the directory of replicas.
        own_processes: whether replicas are processes of this user. Such replicas can be ended without their runtime,
            and listen on a socket that only this user can open, so that requests to them need no key.
        found_at_start: whether replicas are cheap to find: the control plane looks for them at each start, even if no
            endpoint is on the target.

    """

    target: str
    make: Callable[[RuntimeContext], Runtime]
    request_logs: Callable[[Path, Path], Callable[[], Sequence[ReplicaLog]]]
    own_processes: bool = False
    found_at_start: bool = False


class Runtimes:
    """The runtimes of a controller by compute target. Each is created on first use.

    Parameters:
        kinds: the ways of running replicas.
        context: the places that runtimes use.

    """

    def __init__(self, kinds: Iterable[RuntimeKind], context: RuntimeContext) -> None:
        self._kinds = {kind.target: kind for kind in kinds}
        self._context = context
        self._made: dict[str, Runtime] = {}

    def names(self) -> list[str]:
        """Return the compute targets that replicas can run on."""
        return sorted(self._kinds)

    def of(self, target: str) -> Runtime:
        """Return the runtime of a compute target.

        Raises:
            RuntimeUnavailableError: when there is none, or it cannot be created here.

        """
        if target not in self._made:
            if target not in self._kinds:
                known = ", ".join(self.names())
                raise RuntimeUnavailableError(f"there is no compute target {target!r} on this machine: it has {known}.")
            self._made[target] = self._kinds[target].make(self._context)
        return self._made[target]

    def made(self) -> list[Runtime]:
        """Return the runtimes made so far."""
        return list(self._made.values())

    def private_targets(self) -> frozenset[str]:
        """Return the targets whose replicas are processes of this user, so that the router needs no key for them."""
        return frozenset(kind.target for kind in self._kinds.values() if kind.own_processes)

    def targets_found_at_start(self) -> frozenset[str]:
        """Return the targets whose replicas are looked for at each start, see `RuntimeKind.found_at_start`."""
        return frozenset(kind.target for kind in self._kinds.values() if kind.found_at_start)
