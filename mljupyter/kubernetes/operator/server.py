"""The operator's HTTP server: the API of a control plane on a port of its pod, for those who have the secret."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mljupyter.controller.http_server import http_server
from mljupyter.kubernetes.objects import names

_ENDS_WITHIN = 5
_HEALTHY, _READY = "/healthz", "/readyz"


class OperatorServer:
    """Answers health checks from the start, and API requests once the operator leads.

    Parameters:
        port: the port of all addresses of the pod.
        secret: the secret that clients send.
        failed: called with the server's task when it ends.

    """

    def __init__(self, port: int, secret: str, failed: Callable[[asyncio.Task[None]], None]) -> None:
        self._secret = secret
        self._application: Starlette | None = None
        self._listener = socket.create_server(("", port), family=socket.AF_INET, backlog=256)
        self._server: uvicorn.Server = http_server(self._answer, ends_within=_ENDS_WITHIN, interface="asgi3")
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="api")
        self._task.add_done_callback(failed)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listener.getsockname()[1])

    def begin(self, application: Starlette) -> None:
        """Answer API requests from now on, and say that the pod is ready."""
        self._application = application

    async def close(self) -> None:
        """Stop answering. Return when the requests in progress are answered, or after a timeout."""
        self._application = None
        self._server.should_exit = True
        await asyncio.gather(self._task, return_exceptions=True)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answering(scope)(scope, receive, send)

    def _answering(self, scope: Scope) -> ASGIApp:
        if scope["path"] == _HEALTHY:
            return PlainTextResponse("ok")
        if scope["path"] == _READY:
            return PlainTextResponse("leading" if self._application else "waiting to lead")
        if not self._admits(scope):
            message = f"the header {names.SECRET_HEADER} is missing or wrong. Secret {names.ACCESS_SECRET} has it."
            return JSONResponse({"code": "Forbidden", "message": message}, status_code=403)
        if self._application is None:
            message = "this operator does not lead yet. Try again in some seconds."
            return JSONResponse({"code": names.NOT_READY, "message": message}, status_code=503)
        return self._application

    def _admits(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(names.SECRET_HEADER.encode(), b"")
        return hmac.compare_digest(given, self._secret.encode())
