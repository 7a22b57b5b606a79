"""The Unix socket of the controller, and the HTTP servers behind it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from mljupyter.controller.api.own_connections import OwnConnections
from mljupyter.controller.http_server import http_server
from mljupyter.controller.layout import Layout
from mljupyter.engine.self_healing import Stamp
from mljupyter.files import file_at

ANSWERS_WITHIN = 3
"""Seconds that answers under way have when the controller ends: a handler that hangs must not keep it."""


class ControllerSocket:
    """Listens where clients look for the controller, and again where the socket was removed.

    Parameters:
        layout: of the workspace.
        application: answers requests.
        failed: called with the server's task when it ends.

    """

    def __init__(self, layout: Layout, application: Starlette, failed: Callable[[asyncio.Task[None]], None]) -> None:
        self._layout = layout
        self._application = application
        self._failed = failed
        self._listeners: list[socket.socket] = []
        self._servers: list[uvicorn.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._stamp: Stamp = None

    def bind(self) -> None:
        """Make the socket: clients can connect, and are answered when it is served."""
        path = self._layout.socket()
        path.unlink(missing_ok=True)  # the holder of the lock owns it
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        previous = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(previous)
        listener.listen(128)
        self._listeners.append(listener)
        self._stamp = file_at(path)

    def serve(self) -> None:
        """Answer requests from now on."""
        server = http_server(self._application, ends_within=ANSWERS_WITHIN, http=OwnConnections)
        task = asyncio.create_task(server.serve(sockets=[self._listeners[-1]]), name="api")
        task.add_done_callback(self._failed)
        self._servers.append(server)
        self._tasks.append(task)

    def there(self) -> bool:
        """Return whether the socket that clients find is this one."""
        return self._stamp is not None and file_at(self._layout.socket()) == self._stamp

    def listen_again(self) -> None:
        """Make the socket again, since it was removed. Answers that are under way on the one before are finished."""
        for server in self._servers:
            for listening in server.servers:
                listening.close()
        self.bind()
        self.serve()

    async def close(self) -> None:
        """Stop answering; return when the answers under way are sent, or too late."""
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.there():
            self._layout.socket().unlink(missing_ok=True)
