"""A runtime in memory. Its replicas answer HTTP on sockets, and end when a test says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.runtimes.base import (
    Ending,
    ReplicaLog,
    ReplicaOrder,
    RunningReplica,
    Runtime,
    RuntimeContext,
    RuntimeKind,
    Runtimes,
    RuntimeUnavailableError,
    Usage,
)
from mljupyter.spec import VersionSpec
from tests.fakes.contents import FakeContents

TARGET = "fake"
READY, STARTING = 200, 503


class FakeReplica:
    """A replica.

    Attributes:
        health: the status that its health answers; None while it does not answer at all.
        stopped, killed: how often it was asked to end, and whether it was ended.
        finishes: whether it ends by itself when it is asked to.

    """

    def __init__(self, running: RunningReplica, spec: VersionSpec, health: int | None) -> None:
        self.running = running
        self.spec = spec
        self.health = health
        self.stopped = 0
        self.killed = False
        self.finishes = True
        self.lines = ["the last line"]
        self.ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._server: asyncio.Server | None = None

    @property
    def id(self) -> str:
        return self.running.id

    @property
    def runs(self) -> bool:
        return not self.ending.done()

    async def listen(self) -> None:
        """Answer on the replica's socket from now on."""
        self._server = await asyncio.start_unix_server(self._answer, self.running.address.removeprefix("unix:"))

    def end(self, exit_status: int | None = 0, reason: str | None = None) -> None:
        """End the replica."""
        if self.runs:
            self.ending.set_result(Ending(exit_status, reason))
        if self._server is not None:
            self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while self.runs and await reader.readuntil(b"\r\n\r\n"):
                if self.health is None:
                    await self.ending
                writer.write(f"HTTP/1.1 {self.health} -\r\ncontent-length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


class FakeRuntime:
    """Implements `mljupyter.runtimes.base.Runtime`.

    Attributes:
        replicas: all that were ever started, by id.
        health: what new replicas answer at first.
        unavailable: why nothing can be done with the target now; None while all is well.
        machine: what `capacity` returns.
        forgotten: endpoint and version of each call of `forget`.
        broken: the error of each wait for an end, as of a runtime with a defect.

    """

    target = TARGET

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets
        self.replicas: dict[str, FakeReplica] = {}
        self.health: int | None = READY
        self.unavailable: str | None = None
        self.machine = Capacity(64, 64, "here")
        self.forgotten: list[tuple[str, str | None]] = []
        self.broken: Exception | None = None

    def running(self, endpoint: str | None = None, version: str | None = None) -> list[FakeReplica]:
        """Return the replicas that run, oldest first."""
        found = [one for one in self.replicas.values() if one.runs]
        found = [one for one in found if endpoint in (None, one.running.endpoint)]
        return [one for one in found if version in (None, one.running.version)]

    async def adopt(self) -> list[RunningReplica]:
        """Return the replicas that run."""
        self._check()
        return [one.running for one in self.running()]

    async def start(self, order: ReplicaOrder) -> RunningReplica:
        """Start a replica."""
        self._check()
        address = f"unix:{self._sockets / f'{len(self.replicas)}.sock'}"
        running = RunningReplica(
            order.id, order.endpoint, order.version, order.revision, order.target, address, None, time.monotonic()
        )
        replica = self.replicas[order.id] = FakeReplica(running, order.spec, self.health)
        await replica.listen()
        return running

    async def ended(self, replica: RunningReplica) -> Ending:
        """Wait for a replica's end."""
        if self.broken is not None:
            raise self.broken
        return await asyncio.shield(self.replicas[replica.id].ending)

    def stop(self, replica: RunningReplica) -> None:
        """Ask a replica to end."""
        one = self.replicas[replica.id]
        one.stopped += 1
        if one.finishes:
            one.end(0)

    def kill(self, replica: RunningReplica) -> None:
        """End a replica."""
        self.replicas[replica.id].killed = True
        self.replicas[replica.id].end(-9)

    async def forget(self, endpoint: str, version: str | None = None) -> None:
        """Remember that ended replicas were to be forgotten."""
        self.forgotten.append((endpoint, version))

    async def last_lines(self, replica: RunningReplica, count: int) -> list[str]:
        """Return the last lines of a replica."""
        return self.replicas[replica.id].lines[-count:]

    def logs(self, endpoint: str, version: str | None = None) -> list[ReplicaLog]:
        """Return no logs."""
        return []

    def records(self, endpoint: str | None = None, version: str | None = None) -> list[ReplicaLog]:
        """Return no request logs."""
        return []

    async def usage(self, replicas: Sequence[RunningReplica], worker_pids: Mapping[str, int]) -> Mapping[str, Usage]:
        """Return the same usage for all."""
        return {replica.id: Usage(1.0, 1 << 20) for replica in replicas}

    async def capacity(self) -> Capacity:
        """Return the size of the machine."""
        self._check()
        return self.machine

    async def leave(self) -> None:
        """Do nothing."""

    def _check(self) -> None:
        if self.unavailable is not None:
            raise RuntimeUnavailableError(self.unavailable)


def runtimes_of(runtime: FakeRuntime, *, own_processes: bool = True) -> Runtimes:
    """Return the runtimes of a controller that has this one alone."""
    make: Callable[[RuntimeContext], Runtime] = lambda context: runtime  # noqa: E731
    kind = RuntimeKind(
        TARGET, make, lambda workspace, replicas: list, own_processes=own_processes, found_at_start=own_processes
    )
    nowhere = Path("/nowhere")
    context = RuntimeContext(nowhere, nowhere, nowhere, nowhere, lambda: nowhere, FakeContents(), lambda: b"")
    return Runtimes([kind], context)
