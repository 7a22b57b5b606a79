"""An answer that comes in pieces: the server's half, between the worker that sends them and the client that reads."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from mljupyter.scoring.protocol import PIECE_BYTES, WINDOW_BYTES

_GRANT_BYTES = WINDOW_BYTES // 4


class AnswerStream:
    """The pieces of one answer, in order. All methods run on the event loop.

    The worker sends no more than `WINDOW_BYTES` beyond the bytes that it knows to be taken. So a slow client slows down
    its own answer only, and the server's memory for it is limited.

    Parameters:
        grant: tells the worker that the client has taken a number of bytes.
        cancel: tells the worker that nobody takes the rest.

    """

    def __init__(self, first: bytes, grant: Callable[[int], None], cancel: Callable[[], None]) -> None:
        self._pieces: deque[bytes] = deque([first] if first else [])
        self._grant = grant
        self._cancel = cancel
        self._more = asyncio.Event()
        self._taken = 0
        self.moved_at = time.monotonic()
        """When the last piece came, or the client has last taken bytes; on the clock of `time.monotonic`."""
        self.over = False
        """Whether the worker has sent everything, or nobody takes the rest."""
        self.error = b""
        """The JSON of the error that cut the answer off; empty if it is complete."""
        self.left = False
        """Whether the client has left before the end."""

    def put(self, piece: bytes) -> None:
        """Add a piece of the worker."""
        if not self.over:
            self._pieces.append(piece)
            self.moved_at = time.monotonic()
            self._more.set()

    def end(self, error: bytes = b"") -> None:
        """End the answer, with the JSON of an error if it is not complete."""
        if not self.over:
            self.over, self.error = True, error
            self._more.set()

    def stop(self, error: bytes) -> None:
        """End the answer with an error, and tell the worker."""
        if not self.over:
            self.end(error)
            self._cancel()

    def leave(self) -> None:
        """Forget the rest, since the client has left."""
        if not self.over:
            self.left = True
            self.stop(b"")
        self._pieces.clear()

    async def next(self) -> bytes | None:
        """Return the next pieces, as `present` does, as soon as there are some; None at the end."""
        while not self._pieces:
            if self.over:
                return None
            self._more.clear()
            await self._more.wait()
        return self.present()

    def present(self) -> bytes:
        """Return the first pieces that are there, joined; empty if there are none.

        They are no more than `PIECE_BYTES` together: a slow client that takes them shows that it goes on.
        """
        pieces, room = self._pieces, PIECE_BYTES
        joined: list[bytes] = []
        while pieces and (not joined or len(pieces[0]) <= room):
            room -= len(pieces[0])
            joined.append(pieces.popleft())
        return b"".join(joined)  # a single piece is not copied

    def taken(self, size: int) -> None:
        """Note that the client has taken bytes; the worker hears of it from time to time."""
        self._taken += size
        self.moved_at = time.monotonic()
        if self._taken >= _GRANT_BYTES and not self.over:
            self._grant(self._taken)
            self._taken = 0
