"""The HTTP server of a replica. It never runs user code, so it answers health checks even while a model is busy."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import TYPE_CHECKING

import uvloop

from mljupyter import __version__
from mljupyter.scoring import exit_codes
from mljupyter.scoring.configuration import Configuration
from mljupyter.scoring.logs.capture import LogCapture
from mljupyter.scoring.server.application import Application
from mljupyter.scoring.server.http_protocol import HttpServer, Limits
from mljupyter.scoring.server.supervisor import Supervisor
from mljupyter.scoring.server.worker_source import Worker

if TYPE_CHECKING:
    from mljupyter.scoring.logs.insights import Insights
    from mljupyter.scoring.server.replica_key import ReplicaKey

_SWITCH_SECONDS = 0.0005  # short, so that the log thread does not delay the HTTP loop
_LOGGER = "azmlinfsrv.http"


def serve(
    configuration: Configuration,
    listener: socket.socket,
    log: LogCapture,
    worker: Worker,
    insights: Insights | None = None,
    key: ReplicaKey | None = None,
) -> int:
    """Answer requests until a signal stops the replica or no worker can be started; return the exit status."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(ReplicaServer(configuration, log, insights, key).run(listener, worker))


class ReplicaServer:
    """A replica's HTTP server with its supervisor: it handles signals, draining and the end of the process."""

    def __init__(
        self, configuration: Configuration, log: LogCapture, insights: Insights | None, key: ReplicaKey | None
    ) -> None:
        self._configuration = configuration
        self._log = log
        self._insights = insights
        self._key = key
        self._status = exit_codes.STOPPED
        self._supervisor: Supervisor
        self._application: Application
        self._server: HttpServer

    async def run(self, listener: socket.socket, worker: Worker) -> int:
        """Serve until the end, and return the exit status."""
        self._supervisor = Supervisor(self._configuration, self._log, self._stop)
        settings = self._configuration
        self._application = Application(settings, self._supervisor, self._log, self._insights, self._key)
        limits = Limits(
            settings.request_timeout, settings.idle_timeout, settings.max_connections, settings.max_header_bytes
        )
        version = [(b"x-ms-server-version", f"mljupyter/{__version__}".encode())]
        self._server = HttpServer(
            self._application,
            limits,
            self._key,
            version if settings.show_server_version else [],
            lambda message: self._log.record("W", message, _LOGGER),
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        await self._supervisor.adopt(worker)
        try:
            await self._server.serve(listener)
        finally:
            await self._supervisor.close()
        return self._status

    def _on_signal(self, number: int) -> None:
        name = signal.Signals(number).name
        if self._application.draining:
            self._log.record("W", f"{name} again: stopping without waiting for what runs")
            self._cut_short()
            return
        calls = self._supervisor.dispatcher
        self._log.record("I", f"{name}: no new requests; {calls.running} running, {calls.waiting} waiting")
        self._application.draining = True
        asyncio.get_running_loop().call_later(self._configuration.grace_seconds, self._cut_short)
        calls.call_when_idle(lambda: self._stop(exit_codes.STOPPED))

    def _cut_short(self) -> None:
        if not self._supervisor.dispatcher.idle:
            self._stop(exit_codes.CUT_SHORT)
            self._supervisor.abandon("the replica was stopped before this request was answered")

    def _stop(self, status: int) -> None:
        if not self._server.stopping:
            self._status = status
            self._application.draining = True
            self._server.stop()
