"""An optional port on the loopback address, where Prometheus scrapes the metrics."""

from __future__ import annotations

import asyncio
import logging
import socket

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mljupyter.client.errors import PortInUseError
from mljupyter.controller.http_server import http_server
from mljupyter.controller.metrics.collector import Collector
from mljupyter.engine.envoy.hosts import OWN_HOSTS
from mljupyter.runtimes.ports import LOOPBACK
from mljupyter.telemetry.metrics.prometheus import CONTENT_TYPE, exposition

log = logging.getLogger(__name__)

_END_WITHIN = 2
"""Seconds. Any user of the machine can connect here, and a client that does not read must not keep the port open."""


class MetricsPort:
    """Serves only ``/metrics`` on a port of 127.0.0.1. Its requests do not keep the controller alive."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._application = Starlette(
            routes=[Route("/metrics", self._metrics, methods=["GET"])],
            # A web page could read the metrics if its own host name resolves to this machine (DNS rebinding).
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(OWN_HOSTS), www_redirect=False)],
        )
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.number: int | None = None

    async def open(self, port: int) -> None:
        """Listen on a port instead of the previous one.

        Raises:
            PortInUseError: when the port cannot be used. The previous one stays open.

        """
        if port == self.number:
            return
        listener = _listen(port)
        await self.close()
        self._server = http_server(self._application, ends_within=_END_WITHIN)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name="metrics port")
        self.number = port

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._server = self._task = self.number = None

    def complain(self, reason: str) -> None:
        """Log the reason why there is no port."""
        log.warning("no port for Prometheus: %s", reason)

    async def _metrics(self, _: Request) -> Response:
        return Response(exposition(self._collector.totals()), headers={"content-type": CONTENT_TYPE})


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a new controller can then open the port at once
    try:
        listener.bind((LOOPBACK, port))
    except OSError as error:
        listener.close()
        reason = "needs more rights" if isinstance(error, PermissionError) else "is in use by another program"
        raise PortInUseError(
            f"port {port} {reason}. Give another one: mljupyter controller metrics --port PORT"
        ) from None
    listener.listen(16)
    return listener
