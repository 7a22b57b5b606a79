"""SSH port forwarding to containers of an engine on another machine, which publish their ports on its loopback only."""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from mljupyter.build.images.docker.ssh import ssh_destination
from mljupyter.runtimes.base import RuntimeUnavailableError
from mljupyter.runtimes.ports import LOOPBACK
from mljupyter.runtimes.process import processes

# The keep-alives notice a dead connection, so that its process ends and another one is started.
_OPTIONS = (
    *("-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindUnlink=yes"),
    *("-o", "ServerAliveInterval=3", "-o", "ServerAliveCountMax=2", "-o", "ConnectTimeout=10"),
)


class PortForwards:
    """Runs one ``ssh`` for each replica, which forwards a Unix socket of this user to a port of the other machine.

    The processes outlive this one, as replicas do. A later controller finds them by their command lines.

    Parameters:
        url: ``ssh://[user@]host[:port]`` of the engine.
        sockets: returns the directory for the sockets, with a short path.

    """

    def __init__(self, url: str, sockets: Callable[[], Path]) -> None:
        self._url = url
        self._sockets = sockets
        self._open: dict[str, processes.Identity] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()

    def address(self, replica_id: str) -> str:
        """Return the address of a replica on this machine."""
        return f"unix:{self._socket(replica_id)}"

    def ensure(self, replica_id: str, port: int) -> None:
        """Start forwarding to a replica's port, unless that is done already.

        Raises:
            RuntimeUnavailableError: when the program ``ssh`` is not installed.

        """
        with self._lock:
            self._children = [child for child in self._children if child.poll() is None]
            there = self._open.get(replica_id) or self._found(replica_id)
            if there is None or not there.alive():
                there = self._start(self._socket(replica_id), port)
            self._open[replica_id] = there

    def close(self, replica_id: str) -> None:
        """Stop forwarding to a replica."""
        with self._lock:
            there = self._open.pop(replica_id, None) or self._found(replica_id)
            if there is not None:
                there.signal(signal.SIGTERM)
            self._socket(replica_id).unlink(missing_ok=True)

    def _start(self, socket: Path, port: int) -> processes.Identity:
        program = shutil.which("ssh")
        if program is None:
            raise RuntimeUnavailableError("the program ssh is missing: install OpenSSH's client.")
        child = subprocess.Popen(
            [program, "-N", *_OPTIONS, "-L", f"{socket}:{LOOPBACK}:{port}", *ssh_destination(self._url)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._children.append(child)
        return processes.Identity.of_child(child.pid)

    def _found(self, replica_id: str) -> processes.Identity | None:
        prefix = f"{self._socket(replica_id)}:{LOOPBACK}:"
        found = processes.find(lambda command: any(part.startswith(prefix) for part in command))
        return next((identity for identity, _ in found), None)

    def _socket(self, replica_id: str) -> Path:
        return self._sockets() / f"{replica_id.rpartition('-')[2]}.ssh"
