"""The binary protocol between the server, its worker and a zygote: length-prefixed frames, never pickles.

A frame is a fixed prefix (kind, call number, length of the head, length of the body), then the head and the body. The
content of a head depends on the kind (`messages`); a body holds the user's bytes unchanged.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

READY: Final = 1
"""Worker to server, once: `init()` has returned. Call: the worker's process id. Head: an `Interface`. Body: not empty
if the worker takes batches."""
FAILED: Final = 2
"""Worker to server, once: the script cannot serve. Body: the reason, one line of UTF-8."""
CALL: Final = 3
"""Server to worker: one request. Head: `request_meta`, or empty for a plain POST. Body: the request's body."""
ANSWER: Final = 4
"""Worker to server, once for each call. Head: `ANSWER_HEAD`, then headers (`pack_headers`). Body: the answer's body.
After STREAM it ends the answer. Its body is empty then, or an error if the answer is not complete."""

BATCH: Final = 5
"""Server to worker: the next frames are calls for one `run()`. Call: their number."""
ZYGOTE: Final = 6
"""Worker to server, once, instead of READY: `init()` has returned, and this process forks workers from now on."""
FORKED: Final = 7
"""Zygote to server: a worker was forked. Call: its process id, 0 if the fork failed; then the body says why."""
ENDED: Final = 8
"""Zygote to server: a worker has ended. Call: its process id. Body: its status in decimal, negative for a signal."""
REFUSED: Final = 9
"""Zygote to server, instead of ZYGOTE: workers cannot be forked. Body: the reason, one line of UTF-8."""
STREAM: Final = 10
"""Worker to server, once for a call: its answer comes in pieces. Head as for ANSWER. Body: the first piece."""
PIECE: Final = 11
"""Worker to server, after STREAM: the next piece of the answer. Body: the piece."""
GRANT: Final = 12
"""Server to worker: the client has taken bytes of a streamed answer. Head: `GRANTED`, their number."""
CANCEL: Final = 13
"""Server to worker: nobody takes the rest of a streamed answer."""

PREFIX: Final = struct.Struct("<BIIQ")
GRANTED: Final = struct.Struct("<Q")
WINDOW_BYTES: Final = 1 << 20
"""The largest number of bytes of one streamed answer that the worker has sent and the client has not taken."""
PIECE_BYTES: Final = 1 << 16
"""The largest size of one piece of a streamed answer; larger ones are divided."""
ANSWER_HEAD: Final = struct.Struct("<HBd")
"""HTTP status, outcome flags (`RAN`, `RUN_FAILED`, `SHARED`), duration of `run()` in seconds."""
RAN: Final = 1
RUN_FAILED: Final = 2
SHARED: Final = 4
"""The same run produced the answer before this one, so that its time is not counted again."""
MAX_CALL: Final = 2**32

COMMAND: Final = struct.Struct("<BI")
"""Server to zygote: one of the following commands, and the process id of the worker it is about."""
FORK: Final = 1
KILL: Final = 2
DUMP_STACKS: Final = 3
DESCRIPTORS_OF_FORK: Final = 4
"""FORK passes this many descriptors: the worker's end of its socket pair, its standard output and standard error, and
the reading end of its parent-death pipe."""
FIRST_CLIENT_SECONDS: Final = 60.0
"""A shared zygote ends if no replica server connects to it within this time."""
LINGER_SECONDS: Final = 3.0
"""A shared zygote ends this long after its last replica server has disconnected."""

FAST_JSON: Final = "MLJUPYTER_FAST_JSON"
"""The environment variable that turns the fast `json.loads` of scripts off; FAST_JSON_OFF for the worker."""
FAST_JSON_OFF: Final = "off"
WARM_UP: Final = "MLJUPYTER_WARM_UP"
"""The environment variable for a sample request before a worker is ready; the worker gets one of these, or none."""
WARM_UP_ON: Final = "on"
WARM_UP_OFF: Final = "off"
FAST_JSON_PACKAGE: Final = "MLJUPYTER_FAST_JSON_PACKAGE"
"""The environment variable that tells a worker in another environment the directory of the server's msgspec."""


Headers = list[tuple[bytes, bytes]]


def pack_headers(headers: Headers) -> bytes:
    """Return headers in the form in which they follow `ANSWER_HEAD`; empty bytes stand for a plain JSON answer.

    Names and values must not contain NUL, which separates them.
    """
    return b"\0".join(part for pair in headers for part in pair)


def unpack_headers(packed: bytes) -> Headers:
    """Return headers from the result of `pack_headers`."""
    parts = packed.split(b"\0")
    return list(zip(parts[::2], parts[1::2], strict=True))


class Frame(NamedTuple):
    """One message: its kind, the number of the call it belongs to, its head and body."""

    kind: int
    call: int
    head: bytes
    body: bytes


class FrameDecoder:
    """Splits a stream of bytes into frames; the bytes may arrive in pieces of any size."""

    __slots__ = ("_chunks", "_needed", "_size")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size = 0
        self._needed = PREFIX.size

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that `data` completes, in order."""
        self._chunks.append(data)
        self._size += len(data)
        frames: list[Frame] = []
        if self._size < self._needed:
            return frames
        if len(self._chunks) > 1:
            data = b"".join(self._chunks)
        offset = 0
        while True:
            start = offset + PREFIX.size
            if start > self._size:
                self._needed = PREFIX.size
                break
            kind, call, head_length, body_length = PREFIX.unpack_from(data, offset)
            end = start + head_length + body_length
            if end > self._size:
                self._needed = end - offset
                break
            middle = start + head_length
            frames.append(Frame(kind, call, data[start:middle], data[middle:end]))
            offset = end
        rest = data[offset:]
        self._chunks = [rest] if rest else []
        self._size = len(rest)
        return frames
