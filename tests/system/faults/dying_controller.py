"""A controller that kills itself right before a certain kind of write: ``dying_controller.py KIND WORKSPACE``.

Which writes there are is learned from the interpreter's audit events and from the statements of SQLite; the controller
itself knows nothing of this. It begins to count when it gets SIGUSR1, and says so in the file ``WORKSPACE/armed``. With
the kind ``none`` it lives, and writes each kind it meets into the file ``WORKSPACE/writes``.
"""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

_PATHS = {
    "os.rename": 1,
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.link": 1,
    "os.symlink": 1,
    "shutil.rmtree": 0,
}
_connect = sqlite3.connect
_STATEMENTS = ("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT")
_VARIES = re.compile(r"(?<=/)\.[^/]*|[0-9a-f]{8,}|\d+")


class Writes:
    """Notices each write, and ends the process at the one that was chosen."""

    def __init__(self, chosen: str, workspace: Path) -> None:
        self._chosen = chosen
        self._workspace = str(workspace)
        self._seen: set[str] = set()
        self._list = os.open(workspace / "writes", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._armed = False

    def arm(self, *_: object) -> None:
        (Path(self._workspace) / "armed").touch()
        self._armed = True

    def notice(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if event == "subprocess.Popen":
            self._write(f"start {'replica' if 'mljupyter.scoring' in arguments[1] else 'other'}")
        elif event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            self._path("open", arguments[0])
        elif event in _PATHS:
            self._path(event, arguments[_PATHS[event]])

    def connect(self, path: Any, *arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = _connect(path, *arguments, **named)
        if os.fsdecode(path).endswith("/controller.db"):
            connection.set_trace_callback(self._statement)
        return connection

    def _statement(self, text: str) -> None:
        words = text.split()
        if self._armed and words and words[0] in _STATEMENTS:
            self._write(f"sql {' '.join(words[:3])}")

    def _path(self, event: str, path: object) -> None:
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if text.startswith((self._workspace, os.path.realpath(f"{self._workspace}/control/run"))):
            self._write(f"{event} {_VARIES.sub('*', text.removeprefix(self._workspace))}")

    def _write(self, kind: str) -> None:
        if kind in self._seen:
            return
        self._seen.add(kind)
        os.write(self._list, f"{kind}\n".encode())
        if kind == self._chosen:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    writes = Writes(sys.argv[1], Path(sys.argv[2]))
    signal.signal(signal.SIGUSR1, writes.arm)
    sys.addaudithook(writes.notice)
    sqlite3.connect = writes.connect
    sys.argv = ["mljupyter.controller", sys.argv[2]]
    from mljupyter.controller.__main__ import main

    sys.exit(main())
