"""The server's end of a socket to a worker or zygote: frames in, bytes out."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from typing import cast

from mljupyter.scoring import protocol


class Connection(asyncio.Protocol):
    """The connection to one worker or zygote; `on_frame` gets each frame; `on_close` reports its end."""

    def __init__(self, on_frame: Callable[[Connection, protocol.Frame], None], on_close: Callable[[], None]) -> None:
        self._decoder = protocol.FrameDecoder()
        self._on_frame = on_frame
        self._on_close = on_close
        self.transport: asyncio.Transport
        self.descriptor: int

    async def open(self, sock: socket.socket) -> None:
        """Read from a connected socket, which belongs to the event loop from now on."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=sock)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and the descriptor for writing."""
        self.transport = cast(asyncio.Transport, transport)
        self.descriptor = transport.get_extra_info("socket").fileno()

    def write(self, data: bytes) -> bool:
        """Send bytes now, not at the end of the turn of the event loop: the worker is idle until they arrive.

        Returns False when the worker is gone and has certainly not received them.
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
        """Pass on the frames that are complete."""
        for frame in self._decoder.feed(data):
            self._on_frame(self, frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report that the other end is closed, by the death of its process or otherwise."""
        self._on_close()
