"""The HTTP connection of a client: limits on time and size, and answers that leave in one write.

The limits keep slow or hostile clients from holding connections and memory, on replicas without a router as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mljupyter.scoring.messages import encode_error

if TYPE_CHECKING:
    from mljupyter.scoring.server.replica_key import ReplicaKey

_LOOKS_PER_TIMEOUT = 5
_LONGEST_PAUSE_SECONDS = 1.0
_HEADER_SEPARATORS = 4  # ": " and the end of the line


class Limits(NamedTuple):
    """The limits of one server.

    Parameters:
        request_timeout: seconds until a request must be complete, and until a client must read more of its answer.
        max_connections: the largest number of connections at once.
        max_header_bytes: the largest size of the head of a request.

    """

    request_timeout: float
    max_connections: int
    max_header_bytes: int


class AtomicWrites:
    """A transport that sends everything written in one turn of the event loop with one system call.

    The HTTP server writes the head of an answer and then its body. If a replica were killed between the two, the client
    would have the head already, and the router could not retry on another replica. With one call both arrive or
    neither does, as long as the body fits into the socket's buffer. It also saves a call.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pending: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        """Delegate everything but writing to the transport."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data at the end of this turn of the loop."""
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(data)

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that are still to be sent."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._pending))

    def close(self) -> None:
        """Send the pending data, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            self._transport.writelines(pending)


class LimitedProtocol(HttpToolsProtocol):
    """One connection. A request that breaks a limit gets an error, if it can still be sent, and the connection closes.

    If the replica has a key, a connection counts as a stranger's until a request with the key has come. When there are
    too many connections, a new one replaces the oldest stranger, so that strangers cannot keep the router out.
    """

    limits: Limits
    key: ReplicaKey | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept the connection, or refuse it when there are too many."""
        self._incomplete_since: float | None = self.loop.time()
        self._began = self._incomplete_since
        self._stranger = self.key is not None
        self._in_head = False
        self._head_bytes = 0
        self._chunk = 0
        self._unsent = (0, 0.0)
        super().connection_made(cast(asyncio.Transport, AtomicWrites(transport, self.loop)))
        if len(self.connections) > self.limits.max_connections and not self._takes_place_of_stranger():
            self._refuse(503, "the replica has too many connections", b"x-mlj-busy: 1\r\nretry-after: 1\r\n")

    def data_received(self, data: bytes) -> None:
        """Parse the data; refuse the request when its head has become too long."""
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
        """Check the size of a head that has come in one piece."""
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
        """Stop the time limit of the client: from now on the replica works on the request."""
        self._incomplete_since = None
        super().on_message_complete()

    def check(self, now: float) -> None:
        """Close the connection if its client has been too slow."""
        if self._incomplete_since is not None:
            if self.flow.read_paused or self._answers_another():  # the client is not the cause of the delay
                self._incomplete_since = now
            elif now - self._incomplete_since > self.limits.request_timeout:
                self._refuse(408, f"the request was not complete within {self.limits.request_timeout:g} s")
        unsent = self.transport.get_write_buffer_size()
        if unsent != self._unsent[0]:
            self._unsent = (unsent, now)
        elif unsent and now - self._unsent[1] > self.limits.request_timeout:
            self.transport.abort()

    def _takes_place_of_stranger(self) -> bool:
        """Close the oldest connection that has sent no request with the key; return whether there was one."""
        strangers = [one for one in cast("set[LimitedProtocol]", self.connections) if one._stranger and one is not self]
        if not strangers:
            return False
        oldest = min(strangers, key=lambda one: one._began)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _answers_another(self) -> bool:
        """Return whether an earlier request of this connection has no answer yet."""
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
    """Return a protocol class with these limits for a replica with this key."""
    return type("Protocol", (LimitedProtocol,), {"limits": limits, "key": key})


def cut_off(connections: set[Any], scope: dict[str, Any]) -> None:
    """Close the connection of a request after the part of its answer that was written, without the answer's end."""
    for connection in connections:
        if connection.cycle is not None and connection.cycle.scope is scope:
            connection.transport.close()


async def watch(connections: set[Any], limits: Limits) -> None:
    """Check all connections for slow clients, forever. This costs less than a timer for each request."""
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
    """Return an ASGI application that refuses a request without reading it, and closes the connection."""
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
