"""Zygotes: processes that have run ``init()`` of a preloaded revision, and that fork the workers of its replicas.

There is one zygote for each revision. It has no owner: it is found by its socket, and ends by itself when its last
replica has gone. Command lines, records and logs call it a template.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from mljupyter.runtimes.base import ReplicaOrder
from mljupyter.runtimes.process import processes
from mljupyter.scoring import peers

AVAILABLE = sys.platform == "linux"
_HELD_SECONDS = 30.0  # in which the server of a new replica must have found its zygote
_OWNER_ONLY_UMASK = 0o177

Spawn = Callable[[list[str], int], subprocess.Popen[bytes]]


class Zygotes:
    """Starts zygotes, and finds those that run."""

    def __init__(self) -> None:
        self._children: dict[Path, subprocess.Popen[bytes]] = {}

    def id_for(self, order: ReplicaOrder) -> str:
        """Return the id of the zygote of a replica's revision. It depends on the names of the revision alone."""
        name = f"{order.endpoint}.{order.version}.{order.revision}"
        return f"{order.endpoint}-{order.version}-template-{hashlib.sha256(name.encode()).hexdigest()[:9]}"

    def ensure(self, path: Path, spawn: Spawn) -> None:
        """Start a zygote that listens at a path, unless one does already. It may still run ``init()`` afterwards.

        Parameters:
            path: the zygote's socket.
            spawn: starts the process; called with its options and the descriptor of the socket, which listens already.

        """
        connection = _connected(path)
        if connection is None:
            self._start(path, spawn)
            connection = _connected(path)
        if connection is not None:  # a zygote stays for as long as it has a connection
            asyncio.get_running_loop().call_later(_HELD_SECONDS, connection.close)

    def end(self, path: Path) -> None:
        """End the zygote at a path, if one runs; its replicas continue to serve."""
        for identity, _ in processes.find(lambda command: "--template-socket" in command and str(path) in command):
            identity.signal(signal.SIGKILL)
        path.unlink(missing_ok=True)

    def reap(self) -> None:
        """Collect the exit statuses of zygotes that were started here and have ended."""
        self._children = {path: child for path, child in self._children.items() if child.poll() is None}

    def _start(self, path: Path, spawn: Spawn) -> None:
        self.reap()
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            previous = os.umask(_OWNER_ONLY_UMASK)
            try:
                listener.bind(str(path))
            finally:
                os.umask(previous)
            listener.listen(128)  # replicas may connect before the zygote can answer
            descriptor = listener.fileno()
            options = ["--template-socket", str(path), "--template-descriptor", str(descriptor)]
            self._children[path] = spawn(options, descriptor)


def _connected(path: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with contextlib.suppress(OSError):
        connection.connect(str(path))
        peers.check(connection)
        return connection
    connection.close()
    return None
