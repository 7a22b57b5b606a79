"""The front's end of the socket pair to a worker, or of the socket to a template."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import cast

from mljupyter.scoring import protocol


class Connection(asyncio.Protocol):
    """The front's end of the socket pair to one worker."""

    def __init__(self, on_frame: Callable[[Connection, protocol.Frame], None], on_close: Callable[[], None]) -> None:
        self._decoder = protocol.FrameDecoder()
        self._on_frame = on_frame
        self._on_close = on_close
        self.transport: asyncio.Transport
        self.descriptor: int

    async def open(self, sock: socket.socket) -> None:
        """Begin to listen to a connected socket, which belongs to the event loop from now on."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=sock)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back to the worker."""
        self.transport = cast(asyncio.Transport, transport)
        self.descriptor = transport.get_extra_info("socket").fileno()

    def write(self, data: bytes) -> bool:
        """Send at once, without waiting for the end of the loop's turn: the worker is idle until it arrives.

        Returns False when the worker is gone and has certainly not received it.
        """
        if not self.transport.get_write_buffer_size():
            try:
                sent = os.write(self.descriptor, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return False
            if sent == len(data):
                return True
            data = data[sent:]
        self.transport.write(data)
        return True

    def writelines(self, parts: Sequence[bytes]) -> None:
        """Send pieces one after another."""
        self.transport.writelines(parts)

    def data_received(self, data: bytes) -> None:
        """Hand on the frames that have become complete."""
        for frame in self._decoder.feed(data):
            self._on_frame(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that the worker has closed its end, by dying or otherwise."""
        self._on_close()
