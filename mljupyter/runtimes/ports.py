"""Free ports, and whether one is free."""

from __future__ import annotations

import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"


def listening(port: int, address: str = LOOPBACK) -> OSError | None:
    """Return why a port cannot be listened on, or None when it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return error
        return None


def free_port(preferred: Iterable[int] = (), address: str = LOOPBACK) -> int:
    """Return a port nobody listens on: the first free one of those preferred, or any.

    Raises:
        OSError: when no port is free at all.

    """
    for port in preferred:
        if listening(port, address) is None:
            return port
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])
