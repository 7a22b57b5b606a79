"""Free TCP ports: find one, and reserve it for a process that is about to start."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Collection, Iterable
from pathlib import Path

LOOPBACK = "127.0.0.1"


def listening(port: int, address: str = LOOPBACK) -> OSError | None:
    """Return the error of listening on a port; None when the port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError as error:
            return error
        return None


def free_port(preferred: Iterable[int] = (), address: str = LOOPBACK) -> int:
    """Return a free port: the first free one of those preferred, or any.

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
    """Ports that this process has reserved for routers that it is about to start.

    A free port is not enough: two routers of one user could listen on the same port, and the system would divide the
    requests between them. So a lock on a file with the port's number decides. It is held until the port is given back
    or this process ends; by then the router itself listens.

    Parameters:
        directory: directory of the lock files, the same one for all workspaces of a user.

    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._held: dict[int, int] = {}

    def take(self, port: int, address: str = LOOPBACK) -> bool:
        """Reserve a port; return whether it is reserved now and free."""
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
        """Give back all other ports: nothing will be started on them."""
        for port in self._held.keys() - set(ports):
            self._unlock(port, self._held.pop(port))

    def _locked(self, port: int) -> int | None:
        """Return the descriptor of a port's lock; None when another process holds it."""
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
            os.close(lock)  # its holder removed the file after it was opened here: lock the new one

    def _unlock(self, port: int, lock: int) -> None:
        self._file(port).unlink(
            missing_ok=True
        )  # first, so that the next holder of the lock sees that the file has been replaced
        os.close(lock)

    def _file(self, port: int) -> Path:
        return self._directory / f"port-{port}.lock"

    def free_port(self, preferred: Iterable[int] = ()) -> int:
        """Reserve a free port and return it: the first free one of those preferred, or any.

        Raises:
            OSError: when no port is free at all.

        """
        for port in preferred:
            if self.take(port):
                return port
        while not self.take(port := free_port()):
            pass
        return port
