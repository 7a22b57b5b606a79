"""An answer leaves in one piece: its head never without its body."""

from __future__ import annotations

import asyncio
from typing import Any


class WholeWrites:
    """A transport that sends together what is written in one turn of the event loop.

    The HTTP server writes the head of an answer and then its body. A replica that is killed between the two leaves a
    request that a router can no longer try elsewhere, since its client has the head already. In one system call both
    arrive or neither does, as long as the body fits into the socket's buffer; and it is one call fewer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._pending: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        """Leave everything but writing to the transport itself."""
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send data at the end of this turn of the loop."""
        if not self._pending:
            self._loop.call_soon(self._flush)
        self._pending.append(data)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes are still to be sent."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._pending))

    def close(self) -> None:
        """Send what is left, then close."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._pending:
            pending, self._pending = self._pending, []
            self._transport.writelines(pending)
