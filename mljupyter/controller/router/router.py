"""The router is one Envoy process: found by its command line, restarted when it dies, replaced on demand."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpcore

from mljupyter.client.errors import ControllerError, PortInUseError
from mljupyter.controller.router import connection_pool, request_statistics
from mljupyter.controller.router import process as router_process
from mljupyter.controller.router.connection_pool import ConnectionPool
from mljupyter.controller.router.demand import DemandReader
from mljupyter.controller.router.drain import DrainingRouter
from mljupyter.controller.router.files import FileWriter, ReplicaStream
from mljupyter.controller.router.hot_restart import newest_wins
from mljupyter.controller.router.listener_settings import ListenerSettings
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.controller.router.process import RouterProcess
from mljupyter.controller.router.resource_files import RouterFilesBuilder, RouterSettings, router_files
from mljupyter.controller.router.statistics_reader import RouterReader
from mljupyter.engine.envoy.overload import default_memory, memory_in_container
from mljupyter.engine.envoy.routing import EndpointRoute
from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.scaling.demand import Reading
from mljupyter.engine.self_healing import ANSWER_WITHIN, LOOK_EVERY, Stamp, silent_router
from mljupyter.engine.self_healing import Router as Decision
from mljupyter.files import file_at
from mljupyter.runtimes import host
from mljupyter.runtimes.ports import listening
from mljupyter.spec import CertificateStatus, EndpointSpec, Problem
from mljupyter.telemetry.metrics.router_statistics import RouterStatistics

_READY_WITHIN = 10.0
# Envoy waits for missing files for 15 s, and then serves without them.
_STARTED_WITHIN = 25.0
_PAUSE_AFTER_CRASH = 0.05
_LONGEST_PAUSE = 10.0
# By then, the old router has accepted the clients that had begun to connect to it.
_HANDSHAKES_WITHIN = 1.0
_LOOKS_FOR_SOCKETS = 2

log = logging.getLogger(__name__)


class Router:
    """Keeps the router running, with the configuration of the desired routes.

    The router continues to serve without the controller, and an adopted router keeps its connections. `adopted` is
    whether one ran already at the start. A router that hangs is reported in `problem`, and ended if it does not
    recover. One whose sockets were removed is replaced.

    Parameters:
        settings: the router's port, and the paths of its files and sockets.
        keeper: has the listener settings.
        changed: called when it begins to answer, and when `problem` changes.
        stream: sends the replicas of clusters; needed when the settings have the path of its socket.

    """

    size = None

    def __init__(
        self,
        settings: RouterSettings,
        keeper: ListenerSettings,
        changed: Callable[[], None],
        stream: ReplicaStream | None = None,
    ) -> None:
        self._settings = settings
        self._builder = RouterFilesBuilder(settings)
        self._listening = keeper
        self._directory = Path(settings.directory)
        self._changed = changed
        self._process: RouterProcess | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._others: set[asyncio.Task[None]] = set()
        self._up = asyncio.Event()
        self._admin = LocalHttp(f"unix:{settings.admin_socket}", timeout=5)
        self._demand = DemandReader(self._admin)
        self._writer = FileWriter(self._directory, self._admin, stream)
        self._reader = RouterReader(self._admin)
        self._pool = ConnectionPool(settings, self._admin)
        self._lock = asyncio.Lock()
        self._replacing = asyncio.Lock()
        self._leaving: tuple[DrainingRouter, ...] = ()
        self._handed_over: frozenset[tuple[str, int]] = frozenset()
        self._endpoints: tuple[EndpointRoute, ...] = ()
        self._applied = asyncio.Event()  # set once `_endpoints` are the desired ones
        self._seen: Stamp = None  # its admin socket at its first answer
        self._looks_without_sockets = 0  # checks without the sockets of its listeners
        self._lost = False  # its sockets were removed
        self.adopted = False
        self.problem: Problem | None = None

    @property
    def port(self) -> int:
        """The port of all endpoints except local web services."""
        return self._settings.port

    @property
    def pid(self) -> int | None:
        """The router's pid, or None when it does not run."""
        return self._process.identity.pid if self._process and self._process.identity.alive() else None

    @property
    def identity(self) -> str:
        """The identity of the router's process as text. The counters of another process start at zero."""
        if self._process is None:
            return ""
        return f"{self._process.identity.pid}@{self._process.identity.started_time}"

    @property
    def up(self) -> bool:
        """Whether the router runs and answers."""
        return self._up.is_set()

    @property
    def admin_address(self) -> str | None:
        """The address of the router's admin interface, or None when it does not run."""
        return None if self._process is None else _address(self._process)

    def base(self, endpoint: EndpointSpec) -> str:
        """Return the base URI of ``/score`` and ``/swagger.json`` of an endpoint."""
        return self._listening.listening().base(endpoint, self._settings.port)

    def problem_of(self, endpoint: EndpointSpec) -> Problem | None:
        """Return the reason why requests of an endpoint cannot pass the router, None when they can."""
        return self.problem or self._listening.refusal(endpoint)

    def certificate(self, endpoint: EndpointSpec) -> tuple[CertificateStatus | None, Problem | None]:
        """Return the certificate of an endpoint, and the problem with it."""
        if endpoint.port is not None:
            return None, None
        return self._listening.status(endpoint), self._listening.problem(endpoint)

    async def start(self) -> None:
        """Adopt the running router, or start one, and keep it running from now on."""
        running = router_process.running(self._directory, self._settings)
        self.adopted = bool(running)
        if running:
            self._process = running[-1]
            self._handed_over = self._writer.written.listening_on()
            await self._admin.turn_to(_address(self._process))
            if not self.sockets_there():
                self._aside(self.replace_lost())
        if self._writer.empty:
            self._writer.write_all(router_files(self._settings, (), self._listening.listening()))
        self._keeper = asyncio.create_task(self._keep(), name="router")
        self._aside(self._finish_earlier(running[:-1]))
        self._aside(self._watch_pool())

    async def apply(self, endpoints: Iterable[EndpointRoute]) -> None:
        """Update the router to these endpoints. Return when that is in force.

        Raises:
            ControllerError: when the router refuses the configuration or does not answer. The old one stays in force.

        """
        self._endpoints = tuple(endpoints)
        while True:
            async with self._lock:
                files = self._builder.files(self._endpoints, self._listening.listening())
                if self.up:
                    self._reader.expect_change()
                    await self._writer.apply(files)
                    self._hand_over()
                    return
                self._writer.write_all(files)
                self._applied.set()
            await self._wait_until_up()  # without the lock, since a replacement may be necessary for that

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return the counters of every version, by cluster; see `DemandReader.read`."""
        found = await self._demand.read(most_again)
        for router in self._leaving:
            others = await router.demand(most_again)
            found = {name: reading.with_present(others.get(name)) for name, reading in found.items()}
        return found

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas with requests."""
        return (await self._demand.busy()).union(*[await router.busy() for router in self._leaving])

    async def statistics(self) -> RouterStatistics:
        """Return the router's counts of every version, or raise `ControllerError` when it does not answer."""
        return await self._reader.read(self.identity)

    async def counts(self, cluster: str) -> RequestCounts:
        """Return the counts of one version's requests since the router started."""
        return await request_statistics.read(self._admin, cluster)

    async def replace(self) -> None:
        """Replace the router by a new process without losing a request. Return when the new one has taken over.

        The old router finishes its requests, which may take as long as a request.

        Raises:
            ControllerError: when the new one does not start, or refuses the configuration. The old one continues.

        """
        async with self._replacing:
            await self._wait_until_up()
            await self._hand_over_to_another()

    def sockets_there(self) -> bool:
        """Return whether the router's sockets exist. It is also true for a router that is still starting."""
        process = self._process
        if process is None:
            return True
        present = file_at(process.admin)
        if present is None or present != self._seen:
            return self._seen is None and (present is not None or process.child is not None)
        missing = self.up and any(file_at(Path(path)) is None for path in self._writer.written.sockets())
        self._looks_without_sockets = self._looks_without_sockets + 1 if missing else 0
        return self._looks_without_sockets < _LOOKS_FOR_SOCKETS  # their creation takes a moment

    def use_sockets_in(self, directory: Path) -> None:
        """Set the directory for the sockets of the next router. The running one keeps its own."""
        admin = directory / self._settings.admin_socket.name
        self._settings = replace(self._settings, admin_socket=admin)
        self._builder = RouterFilesBuilder(self._settings)

    async def replace_lost(self) -> None:
        """Replace a router whose sockets were removed: it still serves, but it cannot be configured or read.

        The old router finishes its requests. If the replacement fails, the reason is in `problem`.
        """
        if self._replacing.locked():
            return
        async with self._replacing:
            await self._applied.wait()  # a new one is started with this configuration
            if self.sockets_there():
                return
            log.warning("the sockets of the router were removed: it is replaced")
            self._lost = True
            try:
                await self._hand_over_to_another()
            except (ControllerError, OSError) as error:
                reason = error.message if isinstance(error, ControllerError) else str(error)
                self._say(Problem(code="RouterUnreachable", message=f"the router has lost its sockets. {reason}"))

    async def _hand_over_to_another(self) -> None:
        async with self._lock:  # the configuration must not change until the new one has it
            before = self._process
            if before is None:
                return  # it has ended in the meantime, and was started again
            if self._applied.is_set():
                self._writer.write_all(self._builder.files(self._endpoints, self._listening.listening()))
            after = router_process.launch(self._started_with(), router_process.free_slot(self._directory))
            try:
                await self._ready(after)
            except BaseException:
                after.identity.signal(signal.SIGKILL)
                await after.ended()
                raise
            leaving = self._leaves(before)
            await self._look_after(after)
        log.info("the router (pid %d) replaces pid %d", after.identity.pid, before.identity.pid)
        await asyncio.sleep(_HANDSHAKES_WITHIN)
        self._aside(self._end(leaving))

    async def stop(self) -> None:
        """End the router. Use it only when no endpoint is left, or the user stops everything."""
        await self.leave()
        running = router_process.running(self._directory)
        found = {process.identity: process for process in running}
        if self._process is not None:
            found[self._process.identity] = self._process
        await asyncio.gather(*(process.end() for process in found.values()))

    async def retire(self, *, after: float, within: float) -> None:
        """End the router when its clients are gone. Return when it has ended.

        Parameters:
            after: seconds in which it still accepts connections, although each answer asks its client to close.
            within: seconds after which it ends in any case.

        """
        await self.leave()
        if self._process is None:
            return
        leaving = DrainingRouter(self._process, _address(self._process))
        try:
            await leaving.drain(after=after, within=within)
        finally:
            await leaving.close()

    async def leave(self) -> None:
        """Stop watching the router, which continues to serve."""
        tasks = [*self._others, *([self._keeper] if self._keeper is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._admin.close()

    async def _ready(self, process: RouterProcess) -> None:
        """Return when the whole configuration is in force in a router that was just started."""
        admin = LocalHttp(_address(process), timeout=5)
        gone = asyncio.create_task(process.ended())
        try:
            async with asyncio.timeout(_READY_WITHIN):
                if not await self._answers(gone, admin):
                    raise ControllerError("the new router ended; the old one continues. " + self._last_lines())
            await self._writer.confirm(admin)
        except TimeoutError:
            raise ControllerError("the new router did not start; the old one continues.") from None
        finally:
            gone.cancel()
            await admin.close()

    async def _look_after(self, process: RouterProcess) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._turn_to(process)
        await self._admin.turn_to(_address(process))
        self._keeper = asyncio.create_task(self._keep(), name="router")

    def _turn_to(self, process: RouterProcess | None) -> None:
        """Watch another process, or none. Nothing is known about its sockets yet."""
        self._process, self._seen, self._lost = process, None, False
        self._looks_without_sockets = 0

    async def _finish_earlier(self, before: list[RouterProcess]) -> None:
        """Finish the replacements of routers that an earlier controller began, and replace an outdated one."""
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

    def _leaves(self, process: RouterProcess) -> DrainingRouter:
        leaving = DrainingRouter(process, _address(process))
        self._leaving += (leaving,)
        return leaving

    async def _end(self, leaving: DrainingRouter) -> None:
        try:
            await leaving.drain()
        finally:
            self._leaving = tuple(router for router in self._leaving if router is not leaving)
            await leaving.close()

    def _hand_over(self) -> None:
        """Prepare the ports of this router for a hot restart by the next one."""
        listening_on = self._writer.written.listening_on()
        newest_wins(listening_on - self._handed_over)
        self._handed_over = listening_on

    def _started_with(self) -> RouterSettings:
        """Return the settings with the current memory limit of the router."""
        most = self._listening.spec.limits.max_memory_mb
        wanted = most << 20 if most is not None else None
        if self._settings.container_memory_bytes is not None:
            memory = memory_in_container(self._settings.container_memory_bytes, wanted)
        elif wanted is not None:
            memory = wanted
        else:
            memory = default_memory(int(host.capacity().memory_in_gb * (1 << 30)))
        return replace(self._settings, most_memory_bytes=memory)

    async def _watch_pool(self) -> None:
        complained = False
        while True:
            await asyncio.sleep(connection_pool.LOOK_EVERY)
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
                self._writer.repair()
                self._process = router_process.launch(self._started_with(), slot)
                await self._admin.turn_to(_address(self._process))
            process = self._process
            slot = process.slot
            gone = asyncio.create_task(process.ended())
            try:
                answered = await self._begins(gone, process, _STARTED_WITHIN if started else _READY_WITHIN)
                if answered:
                    crashes = 0
                    if started:
                        self._handed_over = frozenset()
                        self._hand_over()
                    self._seen = file_at(process.admin)
                    self._well()
                    await self._watch(gone, process)
            finally:
                gone.cancel()
            self._up.clear()
            log.warning("the router (pid %d) ended; starting it again", process.identity.pid)
            self._turn_to(None)
            if not answered:
                crashes += 1
                if crashes > 1:
                    message = f"the router ends at its start. {self._last_lines()}"
                    self._say(Problem(code="RouterUnreachable", message=message.strip()))
                await asyncio.sleep(min(_PAUSE_AFTER_CRASH * 2.0 ** (crashes - 1), _LONGEST_PAUSE))

    async def _begins(self, gone: asyncio.Task[None], process: RouterProcess, within: float) -> bool:
        """Return whether the router begins to answer. One that does not is ended, unless only its socket is missing."""
        answers = asyncio.create_task(self._answers(gone, self._admin))
        try:
            if not (await asyncio.wait([answers], timeout=_READY_WITHIN))[0]:
                self._say(_silence(process, "has not begun to answer"))
                await asyncio.wait([answers], timeout=within - _READY_WITHIN)
            while not answers.done() and not self.sockets_there():
                await asyncio.wait([answers], timeout=LOOK_EVERY)  # it continues to serve until it is replaced
            if not answers.done():
                log.error("the router (pid %d) does not begin to answer: ending it", process.identity.pid)
                process.identity.signal(signal.SIGKILL)
                await gone
            return await answers
        finally:
            answers.cancel()

    async def _watch(self, gone: asyncio.Task[None], process: RouterProcess) -> None:
        """Check a router until it has ended: report when it does not answer, and end it if that continues."""
        http = LocalHttp(_address(process), ANSWER_WITHIN)
        looks = 0
        try:
            while not gone.done():
                await asyncio.wait([gone], timeout=0 if looks else LOOK_EVERY)
                answered = None if gone.done() else await _answers_a_look(http)
                looks = looks + 1 if answered is False else 0
                decision = silent_router(looks)
                if answered and not self.up and not self._lost:
                    self._well()
                elif decision is not Decision.LEFT:
                    self._say(_silence(process, "does not answer"))
                if decision is Decision.ENDED:
                    log.error("the router (pid %d) has not answered %d checks: ending it", process.identity.pid, looks)
                    process.identity.signal(signal.SIGKILL)
                    await gone
        finally:
            await http.close()

    def _well(self) -> None:
        """Clear the problem, since the router answers."""
        self.problem = None
        self._up.set()
        self._changed()

    def _say(self, problem: Problem) -> None:
        """Publish the problem that the router does not answer."""
        self._up.clear()
        if self.problem != problem:
            log.error("%s", problem.message)
            self.problem = problem
            self._changed()

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


async def _answers_a_look(http: LocalHttp) -> bool | None:
    """Return whether a router answers in time; None when its socket is gone or it ends, so that this is unknown."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await http.get("/ready")
    except (TimeoutError, httpcore.TimeoutException):
        return False
    except UNREACHABLE:
        return None
    return True


def _silence(process: RouterProcess, what: str) -> Problem:
    message = f"the router (pid {process.identity.pid}) {what}: it is ended and started again if this continues."
    return Problem(code="RouterUnreachable", message=message)


def _address(process: RouterProcess) -> str:
    return f"unix:{process.admin}"


def check_port(port: int) -> None:
    """Raise `PortInUseError` when no listener can be opened on a port."""
    if (error := listening(port)) is None:
        return
    reason = "needs more rights" if isinstance(error, PermissionError) else "is in use by another program"
    raise PortInUseError(f"port {port} {reason}. Give another port, or none for a free one.")


def _last_lines(path: Path, count: int) -> str:
    try:
        return "\n".join(path.read_text(errors="replace", encoding="utf-8").splitlines()[-count:])
    except OSError:
        return ""
