"""The router: one Envoy process, found again by its command line, started again when it dies, replaced on demand."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mljupyter.controller import request_statistics, router_process
from mljupyter.controller.demand import DemandReader
from mljupyter.controller.errors import ControllerError, PortInUseError
from mljupyter.controller.handover import newest_wins
from mljupyter.controller.listening_keeper import ListeningKeeper
from mljupyter.controller.local_http import UNREACHABLE, LocalHttp
from mljupyter.controller.router_drain import LeavingRouter
from mljupyter.controller.router_files import FileWriter
from mljupyter.controller.router_pool import LOOK_EVERY, ConnectionPool
from mljupyter.controller.router_process import RouterProcess
from mljupyter.controller.router_reader import RouterReader
from mljupyter.engine.demand import Reading
from mljupyter.engine.envoy_overload import default_memory
from mljupyter.engine.request_counts import RequestCounts
from mljupyter.engine.routing import EndpointRoute, RouterSettings, router_files
from mljupyter.runtimes import machine
from mljupyter.runtimes.ports import listening
from mljupyter.spec import CertificateStatus, EndpointSpec, Problem
from mljupyter.telemetry.router_statistics import RouterStatistics

_READY_WITHIN = 10.0
_PAUSE_AFTER_CRASH = 0.05
_LONGEST_PAUSE = 10.0
# Clients that have begun to connect to the router before are done by then, and it has accepted them.
_HANDSHAKES_WITHIN = 1.0

log = logging.getLogger(__name__)


class Router:
    """Keeps the router running and its configuration equal to the routes wanted.

    The router serves on without this process; what is adopted keeps its connections. `adopted` tells whether one ran
    already when this one began to look after it.
    """

    def __init__(self, settings: RouterSettings, keeper: ListeningKeeper, changed: Callable[[], None]) -> None:
        self._settings = settings
        self._listening = keeper
        self._directory = Path(settings.directory)
        self._changed = changed
        self._process: RouterProcess | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._others: set[asyncio.Task[None]] = set()
        self._up = asyncio.Event()
        self._admin = LocalHttp(self._address(slot=0), timeout=5)
        self._demand = DemandReader(self._admin)
        self._writer = FileWriter(self._directory, self._admin)
        self._reader = RouterReader(self._admin)
        self._pool = ConnectionPool(settings, self._admin)
        self._lock = asyncio.Lock()
        self._replacing = asyncio.Lock()
        self._leaving: tuple[LeavingRouter, ...] = ()
        self._handed_over: frozenset[tuple[str, int]] = frozenset()
        self.adopted = False

    @property
    def port(self) -> int:
        """The port of all endpoints but local web services."""
        return self._settings.port

    @property
    def pid(self) -> int | None:
        """The router's pid, or None when it does not run."""
        return self._process.identity.pid if self._process and self._process.identity.alive() else None

    @property
    def identity(self) -> str:
        """The router's process, as text: another one counts from zero."""
        if self._process is None:
            return ""
        return f"{self._process.identity.pid}@{self._process.identity.started_time}"

    @property
    def up(self) -> bool:
        """Whether the router runs and answers."""
        return self._up.is_set()

    def base(self, endpoint: EndpointSpec) -> str:
        """Return the URI that ``/score`` and ``/swagger.json`` of an endpoint stand under."""
        return self._listening.listening().base(endpoint, self._settings.port)

    def certificate(self, endpoint: EndpointSpec) -> tuple[CertificateStatus | None, Problem | None]:
        """Return the certificate that an endpoint is served with, and what is wrong with it."""
        if endpoint.port is not None:
            return None, None
        return self._listening.status(endpoint), self._listening.problem(endpoint)

    async def start(self) -> None:
        """Adopt the router that runs, or start one; from now on keep it running."""
        running = router_process.running(self._directory)
        self.adopted = bool(running)
        if running:
            self._process = running[-1]
            self._handed_over = self._writer.written.listening_on()
            await self._admin.turn_to(self._address(self._process.slot))
        if self._writer.empty:
            self._writer.write_all(router_files(self._settings, (), self._listening.listening()))
        self._keeper = asyncio.create_task(self._keep(), name="router")
        self._aside(self._finish_earlier(running[:-1]))
        self._aside(self._watch_pool())

    async def apply(self, endpoints: Iterable[EndpointRoute]) -> None:
        """Make the router follow these endpoints; return when it does.

        Raises:
            ControllerError: when the router refuses the configuration or does not answer; the old one stays in force.

        """
        files = router_files(self._settings, endpoints, self._listening.listening())
        async with self._lock:
            if not self.up:
                self._writer.write_all(files)
                await self._wait_until_up()
            await self._writer.apply(files)
            self._hand_over()

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return what has been counted for every version, by cluster; see `DemandReader.read`."""
        found = await self._demand.read(most_again)
        for router in self._leaving:
            others = await router.demand(most_again)
            found = {name: reading.with_present(others.get(name)) for name, reading in found.items()}
        return found

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas that have requests."""
        return (await self._demand.busy()).union(*[await router.busy() for router in self._leaving])

    async def statistics(self) -> RouterStatistics:
        """Return what the router counts of every version, or raise `ControllerError` when it does not answer."""
        return await self._reader.read()

    async def counts(self, cluster: str) -> RequestCounts:
        """Return what was counted of the requests of one version since the router started."""
        return await request_statistics.read(self._admin, cluster)

    async def replace(self) -> None:
        """Start another router beside this one, and let it take over; return when it has, and no request is lost.

        The router before finishes what its clients have asked, which may take as long as a request.

        Raises:
            ControllerError: when the other one does not start, or refuses the configuration; this one serves on.

        """
        async with self._replacing:
            async with self._lock:  # nothing changes until the other one has it all
                await self._wait_until_up()
                before = self._process
                assert before is not None  # noqa: S101 - narrows the type
                after = router_process.launch(self._started_with(), router_process.free_slot(self._directory))
                try:
                    await self._ready(after)
                except BaseException:
                    after.identity.signal(signal.SIGKILL)
                    await after.ended()
                    raise
                leaving = self._leaves(before)
                await self._look_after(after)
            log.info("the router (pid %d) takes the place of pid %d", after.identity.pid, before.identity.pid)
            await asyncio.sleep(_HANDSHAKES_WITHIN)
            self._aside(self._end(leaving))

    async def stop(self) -> None:
        """End the router. Only for when no endpoint is left, or the user wants everything stopped."""
        await self.leave()
        running = router_process.running(self._directory)
        for process in running:
            process.identity.signal(signal.SIGTERM)
        if self._process is not None:
            await self._process.ended()
        await asyncio.gather(*(process.ended() for process in running if process != self._process))

    async def leave(self) -> None:
        """Stop looking after the router; it serves on."""
        tasks = [*self._others, *([self._keeper] if self._keeper is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._admin.close()

    async def _ready(self, process: RouterProcess) -> None:
        """Return when a router that was just started has all of the configuration in force."""
        admin = LocalHttp(self._address(process.slot), timeout=5)
        gone = asyncio.create_task(process.ended())
        try:
            async with asyncio.timeout(_READY_WITHIN):
                if not await self._answers(gone, admin):
                    raise ControllerError("the other router ended; the one before serves on. " + self._last_lines())
            await self._writer.confirm(admin)
        except TimeoutError:
            raise ControllerError("the other router did not start; the one before serves on.") from None
        finally:
            gone.cancel()
            await admin.close()

    async def _look_after(self, process: RouterProcess) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._process = process
        await self._admin.turn_to(self._address(process.slot))
        self._keeper = asyncio.create_task(self._keep(), name="router")

    async def _finish_earlier(self, before: list[RouterProcess]) -> None:
        """Finish what an earlier controller left: routers that were being replaced, or that are to be."""
        await self._up.wait()
        for process in before:
            self._aside(self._end(self._leaves(process)))
        reason = router_process.outdated(self._process, self._started_with()) if self._process is not None else None
        if reason is None:
            return
        log.info("the router is replaced: %s", reason)
        try:
            await self.replace()
        except ControllerError as error:
            log.error("the router is not replaced: %s", error.message)

    def _leaves(self, process: RouterProcess) -> LeavingRouter:
        leaving = LeavingRouter(process, self._address(process.slot))
        self._leaving += (leaving,)
        return leaving

    async def _end(self, leaving: LeavingRouter) -> None:
        try:
            await leaving.drain()
        finally:
            self._leaving = tuple(router for router in self._leaving if router is not leaving)
            await leaving.close()

    def _hand_over(self) -> None:
        """Let the next router get the new connections of ports that this one has begun to listen on."""
        listening_on = self._writer.written.listening_on()
        newest_wins(listening_on - self._handed_over)
        self._handed_over = listening_on

    def _started_with(self) -> RouterSettings:
        """Return the settings, with the memory that the router may use now."""
        most = self._listening.spec.limits.max_memory_mb
        whole = int(machine.capacity().memory_in_gb * (1 << 30))
        return replace(self._settings, most_memory_bytes=most << 20 if most is not None else default_memory(whole))

    async def _watch_pool(self) -> None:
        complained = False
        while True:
            await asyncio.sleep(LOOK_EVERY)
            if not self.up:
                continue
            try:
                await self._pool.look(self._listening.spec.limits)
                complained = False
            except ControllerError as error:
                if not complained:
                    log.warning("connections are not counted: %s", error.message)
                complained = True

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._others.add(task)
        task.add_done_callback(self._others.discard)

    def _address(self, slot: int) -> str:
        return f"unix:{router_process.admin_socket(self._settings, slot)}"

    def _last_lines(self) -> str:
        return _last_lines(self._directory / router_process.LOG, 5)

    async def _wait_until_up(self) -> None:
        try:
            async with asyncio.timeout(_READY_WITHIN):
                await self._up.wait()
        except TimeoutError:
            raise ControllerError(
                f"the router did not start within {_READY_WITHIN:.0f} s. {self._last_lines()}"
            ) from None

    async def _keep(self) -> None:
        crashes = slot = 0
        while True:
            if started := self._process is None:
                self._process = router_process.launch(self._started_with(), slot)
            process = self._process
            slot = process.slot
            gone = asyncio.create_task(process.ended())
            answered = await self._answers(gone, self._admin)
            if answered:
                crashes = 0
                if started:
                    self._handed_over = frozenset()
                    self._hand_over()
                self._up.set()
                self._changed()
                await gone
            self._up.clear()
            log.warning("the router (pid %d) ended; starting it again", process.identity.pid)
            self._process = None
            if not answered:
                await asyncio.sleep(min(_PAUSE_AFTER_CRASH * 2.0**crashes, _LONGEST_PAUSE))
                crashes += 1

    @staticmethod
    async def _answers(gone: asyncio.Task[None], admin: LocalHttp) -> bool:
        while not gone.done():
            try:
                _, body = await admin.get("/ready")
            except UNREACHABLE:
                body = b""
            if body.strip() == b"LIVE":
                return True
            await asyncio.wait([gone], timeout=0.01)
        return False


def check_port(port: int) -> None:
    """Raise `PortInUseError` when a port cannot be listened on."""
    if (error := listening(port)) is None:
        return
    reason = "needs more rights" if isinstance(error, PermissionError) else "is in use by another program"
    raise PortInUseError(f"port {port} {reason}. Give another port, or none: then a free one is chosen.")


def _last_lines(path: Path, count: int) -> str:
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
    except OSError:
        return ""
