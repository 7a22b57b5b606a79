"""Free ports, and whether one is free."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterable
from pathlib import Path

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


class PortReservations:
    """Ports that this process has taken for what it is about to start.

    Two routers of one user may listen on the same port, and the system would divide the requests between them: that
    nobody listens yet is not enough. A lock on a file named after the port decides, for as long as this process lives;
    after that the router itself listens.

    Parameters:
        directory: for the lock files, the same for all workspaces of a user.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[int, int] = {}

    def take(self, port: int, address: str = LOOPBACK) -> bool:
        """Reserve a port; return whether it is this process's now, and nobody listens on it."""
        if port in self._held:
            return listening(port, address) is None
        lock = os.open(self._directory / f"port-{port}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        if listening(port, address) is not None:
            os.close(lock)
            return False
        self._held[port] = lock
        return True

    def free_port(self, preferred: Iterable[int] = ()) -> int:
        """Reserve a port nobody listens on, and return it: the first free one of those preferred, or any.

        Raises:
            OSError: when no port is free at all.

        """
        for port in preferred:
            if self.take(port):
                return port
        while not self.take(port := free_port()):
            pass
        return port
