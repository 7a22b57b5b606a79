"""The HTTP connections of a replica: requests in, answers out, and the limits on time and size.

Requests are parsed by httptools, which has llhttp of Node.js. A request whose body has arrived is passed on, and
answered, without a task of its own. Each answer leaves in one write, as far as it is there: if a replica were killed
between the head and the body of an answer, the client would have the head already, and the router could not retry on
another replica.

The limits keep slow or hostile clients from holding connections and memory, on replicas without a router as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote

import httptools

from mljupyter.scoring.messages import encode_error
from mljupyter.scoring.protocol import Headers

if TYPE_CHECKING:
    from mljupyter.scoring.server.replica_key import ReplicaKey

_LOOKS_PER_TIMEOUT = 5
_LONGEST_PAUSE_SECONDS = 1.0
_HEADER_SEPARATORS = 4  # ": " and the end of the line
_CHUNK_OVERHEAD_BYTES = 32  # of a body that comes in chunks, for each: its size and the ends of lines
_BODY_AHEAD_BYTES = 65536  # of a body, before the application takes them
_JOINED_BYTES = 65536  # of a body, up to which it is copied behind the head
_BACKLOG = 2048
_LATE_SECONDS = 0.1  # requests that were on their way when the server stops are still answered
_FLUSH_SECONDS = 2.0  # answers that were given must be read within this time when the server stops
_NO_BODY = (204, 304)
_LISTS = (b"accept", b"content-encoding")  # headers whose repeated values all count
_INVALID = b"Invalid HTTP request received."
_PATHS = {b"/score": "/score", b"/": "/"}  # the usual ones need no parser


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())


_STATUS_LINES = {status: _status_line(status) for status in range(100, 600)}


def _by_name(headers: Headers) -> dict[bytes, bytes]:
    """Return headers by name. The last one of a name counts, except for those that are lists."""
    named = dict(headers)
    if len(named) < len(headers):
        for name in _LISTS:
            if name in named:
                named[name] = b",".join(value for other, value in headers if other == name)
    return named


class Limits(NamedTuple):
    """The limits of one server.

    Parameters:
        request_timeout: seconds until a request must be complete, and until a client must read more of its answer.
        idle_timeout: seconds until a connection without requests is closed.
        max_connections: the largest number of connections at once.
        max_header_bytes: the largest size of the head of a request.

    """

    request_timeout: float
    idle_timeout: float
    max_connections: int
    max_header_bytes: int


class ClientGoneError(Exception):
    """The client has disconnected before its request was complete."""


class Exchange:
    """One request and its answer.

    `path` is without percent encoding; `headers` have names in lower case, `sent` are the same by name. `complete` says
    whether the whole body has arrived, `gone` whether the client has left; `on_gone` is called then. `answered` is true
    from the last byte of the answer on. The other attributes are the application's.
    """

    __slots__ = (
        "_chunked", "_connection", "_expects", "_news", "_pieces", "_size", "answered", "began", "begun", "complete",
        "gone", "headers", "inference", "keep_alive", "kept", "method", "needs_head", "on_gone", "path", "query",
        "sent", "started", "too_long",
    )  # fmt: skip

    def __init__(
        self, connection: Connection, method: str, path: str, query: bytes, headers: Headers, keep_alive: bool
    ) -> None:
        self._connection = connection
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.sent = _by_name(headers)
        self.keep_alive = keep_alive
        self.begun = self.complete = self.started = self.answered = self.gone = self.too_long = False
        self.on_gone: Callable[[], None] | None = None
        self._expects = self._chunked = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._news: asyncio.Event | None = None
        self.began = 0.0
        self.inference: dict[str, str] | None = None
        self.needs_head = False
        self.kept: tuple[bytes, ...] = ()

    def take(self) -> tuple[bytes, bool]:
        """Return what has arrived of the body and was not taken before, and whether more must come."""
        if self._expects:
            self._expects = False
            if not self.started:
                self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces, self._size = [], 0
        self._connection.resume_reading()  # also if nothing more comes: to see when the client leaves
        return body, not self.complete

    async def take_more(self) -> tuple[bytes, bool]:
        """Return the next part of the body, as soon as there is one or the body is complete.

        Raises:
            ClientGoneError: when the client leaves before.

        """
        if self._news is None:
            self._news = asyncio.Event()
        while not (self._pieces or self.complete or self.gone):
            self._news.clear()
            await self._news.wait()
        if self.gone:
            raise ClientGoneError
        return self.take()

    def answer(self, status: int, headers: Headers, body: bytes, close: bool = False) -> None:
        """Send the whole answer.

        Parameters:
            status: its status.
            headers: its headers, with the length of the body if it has one.
            body: its body, which is left out if the request or the status wants none.
            close: close the connection afterwards.

        """
        if self.gone or self.started:
            return
        if close:
            self.keep_alive = False
        head = self._head(status, headers)
        head.append(b"\r\n")
        if self.method == "HEAD" or status in _NO_BODY:
            body = b""
        if len(body) <= _JOINED_BYTES:
            head.append(body)
            self._connection.write(b"".join(head))
        else:
            self._connection.write(b"".join(head), body)
        self._finish()

    def refuse(self, status: int, message: str) -> None:
        """Answer with an error, without reading the body, and close the connection."""
        body = encode_error(status, message)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        self.answer(status, headers, body, close=True)

    async def begin_pieces(self, status: int, headers: Headers, first: bytes, close: bool) -> None:
        """Send the head of an answer that comes in pieces, with the first of them if it is not empty."""
        if self.gone:
            return
        if close:
            self.keep_alive = False
        head = self._head(status, headers)
        self._chunked = self.method != "HEAD" and status not in _NO_BODY
        head.append(b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n")
        self._connection.write(b"".join(head) + self._chunk(first))
        await self._connection.drain()

    async def send_piece(self, piece: bytes) -> None:
        """Send a piece of the answer; return when the client has room for the next one, or has left."""
        if not self.gone:
            self._connection.write(self._chunk(piece))
            await self._connection.drain()

    def end_pieces(self, last: bytes = b"") -> None:
        """Send the last piece and the end of an answer."""
        if not self.gone:
            self._connection.write(self._chunk(last) + (b"0\r\n\r\n" if self._chunked else b""))
            self._finish()

    def cut_off(self) -> None:
        """Close the connection after what was written of the answer, without the answer's end."""
        self._connection.close()

    def put(self, data: bytes) -> None:
        """Add a part of the body; the reading pauses when the application is far behind."""
        if self.answered:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _BODY_AHEAD_BYTES:
            self._connection.pause_reading()
        if self._news is not None:
            self._news.set()

    def end(self) -> None:
        """Note the end of the body."""
        self.complete = True
        if self._news is not None:
            self._news.set()

    def expect(self) -> None:
        """Note that the client sends its body when it is asked to."""
        self._expects = True

    def leave(self) -> None:
        """Note that the client has left."""
        if self.gone or self.answered:
            return
        self.gone = True
        self._pieces = []
        if self._news is not None:
            self._news.set()
        if self.on_gone is not None:
            self.on_gone()

    def _head(self, status: int, headers: Headers) -> list[bytes]:
        self.started = True
        lines = [_STATUS_LINES[status], self._connection.common_headers()]
        lines += [b"%b: %b\r\n" % pair for pair in headers]
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        return lines

    def _chunk(self, piece: bytes) -> bytes:
        if self._chunked:
            return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        return b""

    def _finish(self) -> None:
        self.answered = True
        self._pieces = []
        self._connection.finished(self)


class Connection(asyncio.Protocol):
    """One connection. A request that breaks a limit gets an error, if it can still be sent, and the connection closes.

    If the replica has a key, a connection counts as a stranger's until a request with the key has come. When there are
    too many connections, a new one replaces the oldest stranger, so that strangers cannot keep the router out.

    Requests that a client sends before it has the answer to the one before are answered one after another. The
    connection reads no more meanwhile.
    """

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._limits = server.limits
        self._loop = server.loop
        self._parser = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._current: Exchange | None = None  # the one that is answered, or was last
        self._newest: Exchange | None = None  # the one that is received, or was last
        self._pipeline: deque[Exchange] = deque()
        self._headers: Headers = []
        self._url = b""
        self._in_head = False
        self._packet = 0
        self._packet_is_fresh = True
        self._received = 0  # bytes of a request that is not complete, apart from its body
        self._paused = False
        self._room: asyncio.Event | None = None
        self._unsent = (0, 0.0)
        self._idle_since: float | None = None
        self._incomplete_since: float | None = None
        self._began = 0.0
        self._stranger = server.key is not None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or refuse it when there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._incomplete_since = self._began = self._loop.time()
        connections = self._server.connections
        connections.add(self)
        if len(connections) > self._limits.max_connections and not self._takes_place_of_stranger():
            self._refuse(503, "the replica has too many connections", b"x-mlj-busy: 1\r\nretry-after: 1\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the requests without an answer that their client has left."""
        self._server.left(self)
        if self._room is not None:
            self._room.set()
        for exchange in (self._current, *self._pipeline):
            if exchange is not None:
                exchange.leave()
        self._pipeline.clear()
        self._current = self._newest = None  # they hold this object, as the parser does
        del self._parser

    def data_received(self, data: bytes) -> None:
        """Parse the data, and pass on a request when its body has come, or as much of it as there is."""
        self._idle_since = None
        self._packet = len(data)
        self._packet_is_fresh = True
        self._received += self._packet
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._server.warn("Unsupported upgrade request.")
        except httptools.HttpParserError:
            self._refuse_invalid()
            return
        current = self._current
        if current is not None and not current.begun:
            self._begin(current)
        if self._incomplete_since is not None:
            self._check_size()
        elif current is None or current.answered:  # it was no request, or its answer came first
            self._idle_since = self._loop.time()

    def on_message_begin(self) -> None:
        """Start the time in which the request must be complete."""
        self._incomplete_since = self._loop.time()
        self._in_head = True
        self._received = self._packet if self._packet_is_fresh else 0
        self._packet_is_fresh = False
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        """Add a part of the URL."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. Those behind a body in chunks are ignored: nothing may come from there."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Make the request, and put it behind those that have no answer yet."""
        self._in_head = False
        headers = self._headers
        key = self._server.key
        if self._stranger and key is not None:
            self._stranger = not key.is_in(headers)
        parser = self._parser
        path, query = _PATHS.get(self._url), b""
        if path is None:
            url = httptools.parse_url(self._url)
            path, query = url.path.decode("ascii"), url.query or b""
            if "%" in path:
                path = unquote(path)
        keep_alive = parser.should_keep_alive() and parser.get_http_version() != "1.0"
        exchange = Exchange(self, parser.get_method().decode("ascii"), path, query, headers, keep_alive)
        if exchange.sent.get(b"expect", b"").lower() == b"100-continue":
            exchange.expect()
        limit = self._limits.max_header_bytes
        if self._received > limit or self._packet > limit:  # other requests may be in the same packet
            size = len(self._url) + sum(len(name) + len(value) + _HEADER_SEPARATORS for name, value in headers)
            exchange.too_long = size > limit
        self._newest = exchange
        if self._current is None or self._current.answered:
            self._current = exchange
        else:
            self._pipeline.append(exchange)
            self.pause_reading()

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        self._received -= len(body) + _CHUNK_OVERHEAD_BYTES
        if self._newest is not None:
            self._newest.put(body)

    def on_message_complete(self) -> None:
        """Stop the time limit of the client: from now on the replica works on the request."""
        self._incomplete_since = None
        self._packet_is_fresh = False
        exchange = self._newest
        if exchange is not None:
            exchange.end()

    def pause_writing(self) -> None:
        """Let streamed answers wait, since the client reads too slowly."""
        self._room = asyncio.Event()

    def resume_writing(self) -> None:
        """Let streamed answers go on."""
        if self._room is not None:
            self._room.set()
            self._room = None
        if self._current is not None:
            self._begin(self._current)

    def check(self, now: float) -> None:
        """Close the connection if its client has been too slow."""
        timeout = self._limits.request_timeout
        if self._incomplete_since is not None:
            if self._paused or self._answers_another():  # the client is not the cause of the delay
                self._incomplete_since = now
            elif now - self._incomplete_since > timeout:
                self._refuse(408, f"the request was not complete within {timeout:g} s")
        if self._idle_since is not None and now - self._idle_since > self._limits.idle_timeout:
            self.close()
        unsent = self._transport.get_write_buffer_size()
        if unsent != self._unsent[0]:
            self._unsent = (unsent, now)
        elif unsent and now - self._unsent[1] > timeout:
            self._transport.abort()

    def shut_down(self) -> None:
        """Close the connection, after the answer if one is due."""
        if self._current is None or self._current.answered:
            self.close()
        else:
            self._current.keep_alive = False

    def write(self, *parts: bytes) -> None:
        """Send the parts together."""
        if self._transport.is_closing():
            return
        if len(parts) == 1:
            self._transport.write(parts[0])
        else:
            self._transport.writelines(parts)

    async def drain(self) -> None:
        """Wait until the client has read enough, or has left."""
        if self._room is not None:
            await self._room.wait()

    def close(self) -> None:
        """Close the connection when everything is sent."""
        if not self._transport.is_closing():
            self._transport.close()

    def pause_reading(self) -> None:
        """Read no more for now."""
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again, unless requests wait for their turn."""
        if self._paused and not self._pipeline and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def common_headers(self) -> bytes:
        """Return the headers that all answers have."""
        return self._server.common_headers()

    def finished(self, exchange: Exchange) -> None:
        """Go on with the next request after an answer."""
        if not exchange.keep_alive:
            self.close()
        if self._transport.is_closing():
            return
        if self._pipeline:
            self._current = self._pipeline.popleft()
            self._loop.call_soon(self._begin, self._current)  # other connections have their turn between two
        elif exchange.complete:
            self._idle_since = self._loop.time()
        if self._paused:
            self.resume_reading()

    def _begin(self, exchange: Exchange) -> None:
        """Pass a request on, unless answers before it wait for their reader: no more than one answer is kept."""
        if exchange.begun or exchange.gone or self._room is not None or self._transport.is_closing():
            return
        exchange.begun = True
        if exchange.too_long:
            exchange.refuse(431, self._server.head_message)
        else:
            self._server.application(exchange)

    def _takes_place_of_stranger(self) -> bool:
        """Close the oldest connection that has sent no request with the key; return whether there was one."""
        strangers = [one for one in self._server.connections if one._stranger and one is not self]
        if not strangers:
            return False
        oldest = min(strangers, key=lambda one: one._began)
        self._server.connections.discard(oldest)
        oldest._transport.abort()
        return True

    def _answers_another(self) -> bool:
        """Return whether an earlier request of this connection has no answer yet."""
        running = self._current is not None and not self._current.answered
        return bool(self._pipeline) or (self._in_head and running)

    def _check_size(self) -> None:
        """Refuse a request whose head is too long, or whose body has too much around it (extensions of chunks)."""
        if self._received > self._limits.max_header_bytes * (1 if self._in_head else 2):
            self._refuse(431, self._server.head_message)

    def _refuse(self, status: int, message: str, headers: bytes = b"") -> None:
        self._incomplete_since = None
        if self._transport.is_closing():
            return
        newest = self._newest
        if not self._answers_another() and (self._in_head or newest is None or not newest.started):
            body = encode_error(status, message)
            kind = b"content-type: application/json\r\nconnection: close\r\n%bcontent-length: %d\r\n\r\n"
            self.write(_STATUS_LINES[status] + kind % (headers, len(body)) + body)
        self.close()

    def _refuse_invalid(self) -> None:
        self._server.warn(_INVALID.decode())
        kind = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.write(_STATUS_LINES[400] + self.common_headers() + kind % len(_INVALID) + _INVALID)
        self.close()


class HttpServer:
    """The connections of one replica, and what they have in common.

    Parameters:
        application: is called with each request; it answers now or later, and does not raise.
        limits: the limits of the connections.
        key: the replica's key, if it has one.
        headers: further headers of all answers.
        warn: is called with what is odd about a request.

    """

    def __init__(
        self,
        application: Callable[[Exchange], None],
        limits: Limits,
        key: ReplicaKey | None,
        headers: Headers,
        warn: Callable[[str], None],
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.application = application
        self.limits = limits
        self.key = key
        self.warn = warn
        self.head_message = f"the head of the request has more than {limits.max_header_bytes} bytes"
        self.connections: set[Connection] = set()
        self._headers = b"".join(b"%b: %b\r\n" % pair for pair in headers)
        self._second = 0
        self._common = b""
        self._stopping = asyncio.Event()
        self._left = asyncio.Event()

    async def serve(self, listener: socket.socket) -> None:
        """Accept connections until `stop` is called; then send what is answered already, and close all."""
        accepting = await self.loop.create_server(lambda: Connection(self), sock=listener, backlog=_BACKLOG)
        watching = self.loop.create_task(self._watch())
        try:
            await self._stopping.wait()
            await asyncio.sleep(_LATE_SECONDS)
        finally:
            accepting.close()
            watching.cancel()
        for connection in list(self.connections):
            connection.shut_down()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_SECONDS):
                while self.connections:
                    self._left.clear()
                    await self._left.wait()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """End `serve`."""
        self._stopping.set()

    def left(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self.connections.discard(connection)
        self._left.set()

    def common_headers(self) -> bytes:
        """Return the headers that all answers have. The date is formatted once a second."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(now)).encode("ascii")
            self._common = b"date: %b\r\n%b" % (date, self._headers)
        return self._common

    async def _watch(self) -> None:
        """Check all connections for slow clients, forever. This costs less than a timer for each request."""
        shortest = min(self.limits.request_timeout, self.limits.idle_timeout)
        while True:
            await asyncio.sleep(min(_LONGEST_PAUSE_SECONDS, shortest / _LOOKS_PER_TIMEOUT))
            now = self.loop.time()
            for connection in list(self.connections):
                connection.check(now)
