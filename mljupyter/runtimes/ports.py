"""Free ports, and whether one is free."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Collection, Iterable
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
    nobody listens yet is not enough. A lock on a file named after the port decides, until the port is given back or
    this process ends; after that the router itself listens.

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
        lock = self._locked(port)
        if lock is None:
            return False
        if listening(port, address) is not None:
            self._unlock(port, lock)
            return False
        self._held[port] = lock
        return True

    def keep_only(self, ports: Collection[int]) -> None:
        """Give back all ports but these: nothing will be started on the others."""
        for port in self._held.keys() - set(ports):
            self._unlock(port, self._held.pop(port))

    def _locked(self, port: int) -> int | None:
        """Return the descriptor of a port's lock, or None when another process has it."""
        path = self._file(port)
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(path.lstat(), os.fstat(lock)):
                    return lock
            except BlockingIOError:
                os.close(lock)
                return None
            except FileNotFoundError:
                pass
            os.close(lock)  # its holder removed the file between our opening and locking it: another one counts

    def _unlock(self, port: int, lock: int) -> None:
        self._file(port).unlink(missing_ok=True)  # first: who gets the lock after us sees that the file is another
        os.close(lock)

    def _file(self, port: int) -> Path:
        return self._directory / f"port-{port}.lock"

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
