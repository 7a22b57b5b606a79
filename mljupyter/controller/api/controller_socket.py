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
"""Seconds that requests in progress have when the controller ends, so that a hanging handler cannot block it."""


class ControllerSocket:
    """Listens on the controller's socket, and creates it again after it was removed.

    Parameters:
        layout: the file layout of the workspace.
        application: the application that answers requests.
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
        """Create the socket. Clients can connect; they are answered when `serve` was called."""
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
        """Return whether the socket's path still leads to this socket."""
        return self._stamp is not None and file_at(self._layout.socket()) == self._stamp

    def listen_again(self) -> None:
        """Create the socket again after it was removed. Requests in progress on the old one are finished."""
        for server in self._servers:
            for listening in server.servers:
                listening.close()
        self.bind()
        self.serve()

    async def close(self) -> None:
        """Stop answering. Return when the requests in progress are answered, or after the timeout.

        The socket is removed first: one that takes no connections means a crash, after which a client that only looks
        would start the controller again.
        """
        if self.there():
            self._layout.socket().unlink(missing_ok=True)
        for server in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
