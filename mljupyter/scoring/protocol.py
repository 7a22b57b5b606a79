"""The frames that front and worker exchange over their socket pair: length-prefixed bytes, never pickles.

A frame is a fixed prefix (kind, call number, length of head, length of body), then head and body. What a head
holds depends on the kind; bodies are the user's bytes as they came or as they go.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

READY: Final = 1
"""Worker to front, once: `init()` is done. Call: its process. Head: see `interface.py`. Body: not empty for batches."""
FAILED: Final = 2
"""Worker to front, once: the script cannot serve. Body: the reason in one line of UTF-8."""
CALL: Final = 3
"""Front to worker. Head: empty for a plain POST, else a JSON object, see `call_head.py`. Body: as received."""
ANSWER: Final = 4
"""Worker to front, for each call. Head: `ANSWER_HEAD`, then headers (`pack_headers`). Body: to send as it is."""

BATCH: Final = 5
"""Front to worker: the next frames are calls for one `run()`. The call number says how many."""
TEMPLATE: Final = 6
"""Worker to front, once, in place of READY: `init()` is done, and this process forks workers from now on."""
FORKED: Final = 7
"""Template to front: the process of the worker asked for is the call number; 0 if it failed, the body says why."""
ENDED: Final = 8
"""Template to front: the process of the call number has ended. Body: its status as a decimal, negative for a signal."""

REFUSED: Final = 9
"""Template to front, in place of TEMPLATE: no worker can be forked. Body: why, in one line of UTF-8."""

PREFIX: Final = struct.Struct("<BIIQ")
ANSWER_HEAD: Final = struct.Struct("<HBd")
"""HTTP status, outcome flags (`RAN`, `RUN_FAILED`, `SHARED`), seconds that `run()` took."""
RAN: Final = 1
RUN_FAILED: Final = 2
SHARED: Final = 4
"""The run was for the answer before this one too."""
MAX_CALL: Final = 2**32


Headers = list[tuple[bytes, bytes]]


def pack_headers(headers: Headers) -> bytes:
    """Return headers as what follows `ANSWER_HEAD`; nothing at all stands for a plain JSON answer.

    The names and values must be free of NUL, which separates them.
    """
    return b"\0".join(part for pair in headers for part in pair)


def unpack_headers(packed: bytes) -> Headers:
    """Return the headers that `pack_headers` has packed."""
    parts = packed.split(b"\0")
    return list(zip(parts[::2], parts[1::2], strict=True))


class Frame(NamedTuple):
    """One message: its kind, the number of the call it belongs to, its head and body."""

    kind: int
    call: int
    head: bytes
    body: bytes


class FrameDecoder:
    """Cut a stream of bytes into frames, however the bytes arrive."""

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
