"""Limits that keep clients from holding connections and memory: for replicas that are used without a router too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mljupyter.scoring.server.atomic_write import WholeWrites
from mljupyter.scoring.worker.results import encode_error

if TYPE_CHECKING:
    from mljupyter.scoring.server.replica_key import ReplicaKey

_LOOKS_PER_TIMEOUT = 5
_LONGEST_PAUSE_SECONDS = 1.0
_HEADER_SEPARATORS = 4  # ": " and the end of the line


class Limits(NamedTuple):
    """The limits of one front.

    Parameters:
        request_timeout: seconds for a request to be complete, and for a client to take some of its answer.
        max_connections: how many there may be at once.
        max_header_bytes: how long the head of a request may be.

    """

    request_timeout: float
    max_connections: int
    max_header_bytes: int


class LimitedProtocol(HttpToolsProtocol):
    """One connection. What breaks a limit gets an answer, where it can still be sent, and loses its connection.

    Where a replica has a key, a connection is a stranger's until a request with it has come. The oldest one of these
    makes room for a new one when there are too many, so that nobody keeps the router out by holding connections.
    """

    limits: Limits
    key: ReplicaKey | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to count, or refuse the connection."""
        self._incomplete_since: float | None = self.loop.time()
        self._began = self._incomplete_since
        self._stranger = self.key is not None
        self._in_head = False
        self._head_bytes = 0
        self._chunk = 0
        self._unsent = (0, 0.0)
        super().connection_made(cast(asyncio.Transport, WholeWrites(transport, self.loop)))
        if len(self.connections) > self.limits.max_connections and not self._takes_place_of_stranger():
            self._refuse(503, "the replica has too many connections", b"x-mlj-busy: 1\r\nretry-after: 1\r\n")

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, unless the head of the request has become too long."""
        self._chunk = len(data)
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.max_header_bytes:
                self._refuse(431, self._head_message())

    def on_message_begin(self) -> None:
        """Start the time in which the request must be complete."""
        self._incomplete_since = self.loop.time()
        self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Check the length of a head that has come in one piece."""
        self._in_head = False
        if self._stranger and self.key is not None:
            self._stranger = not self.key.is_in(self.headers)
        if self._head_bytes + self._chunk <= self.limits.max_header_bytes:
            super().on_headers_complete()
            return
        size = len(self.url) + sum(len(name) + len(value) + _HEADER_SEPARATORS for name, value in self.headers)
        application = self.app
        if size > self.limits.max_header_bytes:
            self.app = cast(Any, closing_answer(431, self._head_message()))
        super().on_headers_complete()
        self.app = application

    def on_message_complete(self) -> None:
        """Stop the time: from now on it is the replica's."""
        self._incomplete_since = None
        super().on_message_complete()

    def check(self, now: float) -> None:
        """Close the connection if its client has been too slow."""
        if self._incomplete_since is not None:
            if self.flow.read_paused or self._answers_another():  # the time is not the client's
                self._incomplete_since = now
            elif now - self._incomplete_since > self.limits.request_timeout:
                self._refuse(408, f"the request was not complete within {self.limits.request_timeout:g} s")
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent[0]:
            self._unsent = (unsent, now)
        elif unsent and now - self._unsent[1] > self.limits.request_timeout:
            self.transport.abort()

    def _takes_place_of_stranger(self) -> bool:
        """Close the oldest connection without a request of the router's; return whether there was one."""
        strangers = [one for one in cast("set[LimitedProtocol]", self.connections) if one._stranger and one is not self]
        if not strangers:
            return False
        oldest = min(strangers, key=lambda one: one._began)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _answers_another(self) -> bool:
        """Whether an earlier request of this connection is still to be answered."""
        running = self.cycle is not None and not self.cycle.response_complete
        return bool(self.pipeline) or (self._in_head and running)

    def _head_message(self) -> str:
        return f"the head of the request has more than {self.limits.max_header_bytes} bytes"

    def _refuse(self, status: int, message: str, headers: bytes = b"") -> None:
        self._incomplete_since = None
        if self.transport.is_closing():
            return
        if not self._answers_another() and (self._in_head or self.cycle is None or not self.cycle.response_started):
            body = encode_error(status, message)
            start = b"HTTP/1.1 %d %s\r\n" % (status, _PHRASES[status])
            kind = b"content-type: application/json\r\nconnection: close\r\n%scontent-length: %d\r\n\r\n"
            self.transport.write(start + kind % (headers, len(body)) + body)
        self.transport.close()


def limited_protocol(limits: Limits, key: ReplicaKey | None = None) -> type[LimitedProtocol]:
    """Return a protocol class with these limits, of a replica with this key."""
    return type("Protocol", (LimitedProtocol,), {"limits": limits, "key": key})


async def watch(connections: set[Any], limits: Limits) -> None:
    """Look after slow clients for ever; a look at all connections costs less than a timer for each request."""
    while True:
        await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, limits.request_timeout / _LOOKS_PER_TIMEOUT))
        now = asyncio.get_running_loop().time()
        for connection in list(connections):
            connection.check(now)


_PHRASES = {
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def closing_answer(status: int, message: str) -> Callable[..., Awaitable[None]]:
    """Return an ASGI application that refuses a request unread and closes its connection."""
    body = encode_error(status, message)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]

    async def application(scope: Any, receive: Any, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application
