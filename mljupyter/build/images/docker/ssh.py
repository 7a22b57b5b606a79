"""Connect to a Docker engine by SSH: a local socket, and one ``ssh`` process for each connection to it.

Docker's own command line does the same, with ``docker system dial-stdio`` on the other machine. The user's ssh program
knows keys, known hosts and jump hosts. The Docker SDK's own support needs a library that knows only some of them.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

from mljupyter.build.images.errors import BuilderUnavailableError

_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=10", "-T")
_MOST_SAID = 300


class SshWay:
    """Listens on a socket that only this user can open. A client of the engine connects to `url`.

    Raises `BuilderUnavailableError` when the program ssh is not installed.
    """

    def __init__(self, url: str) -> None:
        program = shutil.which("ssh")
        if program is None:
            raise BuilderUnavailableError(f"{url} needs the program ssh: install OpenSSH's client.")
        self._command = [program, *_OPTIONS, *ssh_destination(url), "docker", "system", "dial-stdio"]
        self._directory = tempfile.TemporaryDirectory(prefix="mljupyter-ssh-")
        path = Path(self._directory.name) / "engine.sock"
        self.url = f"unix://{path}"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as connections are made
        self._children: list[subprocess.Popen[bytes]] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, name="ssh-engine", daemon=True).start()

    def said(self) -> str:
        """Return the last line of ssh's error output, such as the reason of a refusal."""
        self._said.seek(0)
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:_MOST_SAID] if lines else ""

    def close(self) -> None:
        """Accept no more connections. Open ones end with their clients."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._directory.cleanup()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                # ssh reads and writes the connection itself, so it ends when either side ends.
                with connection:
                    self._children = [child for child in self._children if child.poll() is None]
                    self._children.append(
                        subprocess.Popen(
                            self._command,
                            stdin=connection.fileno(),
                            stdout=connection.fileno(),
                            stderr=self._said,
                            start_new_session=True,
                        )
                    )


def ssh_destination(url: str) -> list[str]:
    """Return the arguments of ssh for a destination.

    >>> ssh_destination("ssh://ada@build.example.com:2222")
    ['-l', 'ada', '-p', '2222', '--', 'build.example.com']
    """
    parts = urlsplit(url)
    user = ["-l", parts.username] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    return [*user, *port, "--", parts.hostname or ""]
