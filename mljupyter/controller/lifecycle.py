"""The controller's lifecycle: it composes all parts, runs the reconcile loop, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.handlers
import os
import signal
import threading
import time

from mljupyter.client.errors import ControllerError
from mljupyter.controller.api.controller_socket import ControllerSocket
from mljupyter.controller.api.endpoints import Api
from mljupyter.controller.api.socket_manager import SocketManager
from mljupyter.controller.collected.directory import CollectedDirectory
from mljupyter.controller.control_plane import ControlPlane
from mljupyter.controller.endpoints.local_ports import replace_taken
from mljupyter.controller.endpoints.replica_secrets import workspace_key
from mljupyter.controller.endpoints.supervisor import Supervisor
from mljupyter.controller.housekeeping import Housekeeping
from mljupyter.controller.layout import Layout, ports_directory
from mljupyter.controller.metrics.exporter_process import RecordExport
from mljupyter.controller.router import process
from mljupyter.controller.router.resource_files import RouterSettings
from mljupyter.controller.router.router import Router
from mljupyter.controller.storage.backup import damage
from mljupyter.controller.storage.lock import ControllerLock
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.listener_manager import ListenerManager
from mljupyter.registry import storage
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.runtimes.accelerators import AcceleratorPool
from mljupyter.runtimes.base import RuntimeContext, Runtimes
from mljupyter.runtimes.catalog import KINDS
from mljupyter.runtimes.nvidia import DEVICES
from mljupyter.runtimes.ports import PortReservations
from mljupyter.visible import visible

ROUTER_PORTS = range(8600, 8700)
LOOK_AGAIN_EVERY = 10.0
BACKUP_EVERY = 1.0
END_WITHIN = 15.0
_LOOK_AT_LOCK_EVERY = 0.5
_LOOK_AT_DATABASE_EVERY = 5  # checks; then it is checked whether a copy is due
_REPLICAS_END_WITHIN = 4.0
_LOG_BYTES, _LOG_BACKUPS = 5_000_000, 2

log = logging.getLogger("mljupyter.controller")


async def run(layout: Layout, idle_seconds: float, lock: ControllerLock) -> None:
    """Run the controller until it has been idle for `idle_seconds`, is asked to stop, or its workspace is gone."""
    _log_to(layout)
    log.info("controller starts (pid %d) for %s", os.getpid(), layout.directory)
    store = Store(layout.database)
    runtimes = _runtimes(layout)
    keeper = ListenerManager(layout, store)
    ports = PortReservations(ports_directory(layout.control))
    settings = _router_settings(layout, store, ports)
    if not process.running(layout.router):
        replace_taken(store, ports)
    plane = ControlPlane(
        layout=layout,
        store=store,
        runtimes=runtimes,
        keeper=keeper,
        ports=ports,
        supervisor=lambda changed: Supervisor(runtimes, changed),
        router=lambda changed: Router(settings, keeper, changed=changed),
        collected=CollectedDirectory(layout.collected),
    )
    supervisor, router, reconciler = plane.supervisor, plane.router, plane.reconciler
    end = _End()
    api = plane.api(end.request)
    _end_by_signal(end)

    own = ControllerSocket(layout, api.application, failed=end.because_of)
    own.bind()
    await router.start()
    await reconciler.begin()
    own.serve()
    sockets = SocketManager(layout, own, router, supervisor, lock)
    keeping_sockets = asyncio.create_task(sockets.run(), name="sockets")
    keeping_sockets.add_done_callback(end.because_of)
    keeping = asyncio.create_task(Housekeeping(layout, store).run(), name="housekeeping")
    backing_up = asyncio.create_task(_keep_backup(layout, store, lock), name="backup")
    watching = asyncio.create_task(_end_without(lock, end), name="workspace")
    exporting = asyncio.create_task(RecordExport(layout, store).run(), name="export")
    await plane.run(end.because_of)
    idle = _Idle(store, api, idle_seconds)
    while not end.asked and not idle.over():
        reconciler.look_again()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(LOOK_AGAIN_EVERY, max(idle_seconds / 4, 0.05))):
                await end.wait()

    log.info("controller ends: %s", end.reason if end.asked else "idle")
    _end_in_any_case()
    plane.end_waits()
    keeping_sockets.cancel()
    await own.close()
    others = (keeping, backing_up, keeping_sockets, watching)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await plane.close()
    if end.everything:
        await _stop_replicas(supervisor)
    exporting.cancel()  # last, so that records of ending replicas are sent too
    await asyncio.gather(exporting, return_exceptions=True)
    if (end.everything or not store.names()) and not _replaced(layout, lock):
        await router.stop()
        layout.leave()
    else:
        await router.leave()
    ports.keep_only(())
    await supervisor.leave()
    for runtime in runtimes.made():
        await runtime.leave()
    if lock.held():
        with contextlib.suppress(ControllerError):
            store.keep_backup()
    store.close()


def _replaced(layout: Layout, lock: ControllerLock) -> bool:
    """Return whether another workspace is at the path of this one. Its router would be found by the same path."""
    return layout.lock.exists() and not lock.held()


async def _end_without(lock: ControllerLock, end: _End) -> None:
    """End the controller when its workspace was removed or moved, since another one may take its path."""
    while lock.held():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(_LOOK_AT_LOCK_EVERY)
    end.reason = "its workspace was removed or moved; router and replicas keep running"
    end.request()


async def _keep_backup(layout: Layout, store: Store, lock: ControllerLock) -> None:
    """Copy the database soon after each change. Restore the copy when the database is damaged or removed.

    Failures are retried.
    """
    failed, looks = False, 0
    while True:
        await asyncio.sleep(BACKUP_EVERY)
        looks += 1
        if not lock.held():
            continue
        try:
            store.keep_backup()
            if looks % _LOOK_AT_DATABASE_EVERY == 0:
                await _mend(layout, store)
            failed = False
        except ControllerError as error:
            if not failed:
                log.error("no copy of the database: %s", error.message)
            failed = True


async def _mend(layout: Layout, store: Store) -> None:
    if (found := await asyncio.to_thread(damage, layout.database)) is None:
        return
    aside = store.mend(found)
    if aside is not None:
        log.error("the database was damaged: %s. Its copy was restored; the damaged file is now %s", found, aside)
    elif store.problem is not None:
        log.error("%s", store.problem.message)


def _runtimes(layout: Layout) -> Runtimes:
    context = RuntimeContext(
        workspace=layout.directory,
        replicas=layout.replicas,
        revisions=layout.revisions,
        collected=layout.collected,
        sockets=layout.runtime,
        contents=ArtifactStore(storage.read(layout.directory).artifacts_url or layout.artifacts),
        workspace_key=lambda: workspace_key(layout.replica_key),
        accelerators=AcceleratorPool(DEVICES),
    )
    return Runtimes(KINDS, context)


class _End:
    """The request to end the process: none, a normal end, or one that stops everything."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.everything = False
        self.reason = "asked to stop"

    @property
    def asked(self) -> bool:
        return self._event.is_set()

    def request(self, everything: bool = False) -> None:
        self.everything = everything
        self._event.set()

    def because_of(self, task: asyncio.Task[None]) -> None:
        """End the process when a part has failed: clients start another controller, but cannot repair this one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.reason = f"{task.get_name()} has failed"
            log.critical("the %s has failed", task.get_name(), exc_info=error)
            self._event.set()

    async def wait(self) -> None:
        await self._event.wait()


class _Idle:
    """Tells whether the controller is idle: no endpoint, and no request for a while."""

    def __init__(self, store: Store, api: Api, seconds: float) -> None:
        self._store = store
        self._api = api
        self._seconds = seconds
        self._busy_at = time.monotonic()

    def over(self) -> bool:
        if self._store.names():
            self._busy_at = time.monotonic()
        return time.monotonic() - max(self._busy_at, self._api.last_request) > self._seconds


def _end_by_signal(end: _End) -> None:
    """End on a signal, even while the event loop is blocked: the handler does not need the loop."""
    loop = asyncio.get_running_loop()

    def asked(_number: int, _frame: object) -> None:
        _end_in_any_case()
        loop.call_soon_threadsafe(end.request)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)


def _end_in_any_case() -> None:
    """End this process after a timeout, even if a part hangs. The next controller finds router and replicas again."""

    def too_late() -> None:
        log.critical("the controller has not ended within %.0f s: it is killed", END_WITHIN)
        os._exit(1)

    timer = threading.Timer(END_WITHIN, too_late)
    timer.daemon = True
    timer.start()


async def _stop_replicas(supervisor: Supervisor) -> None:
    try:
        async with asyncio.timeout(_REPLICAS_END_WITHIN):
            await supervisor.stop_all()
    except TimeoutError:
        log.error("not all replicas have ended within %.0f s: their engine does not answer", _REPLICAS_END_WITHIN)


def _router_settings(layout: Layout, store: Store, ports: PortReservations) -> RouterSettings:
    """Return the router's port and paths: the same as before, unless another program uses the port now."""
    known = store.setting("routerPort")
    port = int(known) if known is not None else None
    # First the reservation: a router that runs may be about to end, and no longer listen.
    if port is None or not (ports.take(port) or process.running(layout.router)):
        port = ports.free_port(ROUTER_PORTS)
        store.put_setting("routerPort", str(port))
    return RouterSettings(directory=layout.router, admin_socket=layout.router_admin_socket(), port=port)


class _OneRecord(logging.Formatter):
    """Formats records so that text of clients in a message cannot look like another record."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the library
        """Return time, level and message. Further lines of the message are indented."""
        record.message = visible(record.message).replace("\n", "\n    ")
        return super().formatMessage(record)


def _log_to(layout: Layout) -> None:
    handler = logging.handlers.RotatingFileHandler(layout.log, maxBytes=_LOG_BYTES, backupCount=_LOG_BACKUPS)
    layout.log.chmod(0o600)
    formatter = _OneRecord("%(asctime)s.%(msecs)03dZ %(levelname).1s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.raiseExceptions = False  # a full disk must not stop the controller
    logging.getLogger().addHandler(handler)
    logging.getLogger("mljupyter").setLevel(logging.INFO)
