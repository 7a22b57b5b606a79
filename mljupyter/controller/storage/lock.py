"""The lock of a workspace's controller: the process that holds it is the controller."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from mljupyter.client.errors import ControllerError
from mljupyter.registry.locking import try_lock


class AlreadyRunningError(ControllerError):
    """Another process is the controller of this workspace."""

    code = "ControllerRunning"
    status_code = 409


class ControllerLock:
    """The lock of a workspace's controller. The system releases it at any end of the process.

    Raises:
        AlreadyRunningError: on entering, when another process holds it; the text has its pid.

    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            free = try_lock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            os.close(self._descriptor)
            raise
        if not free:
            pid = os.read(self._descriptor, 32).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise AlreadyRunningError(
                f"the workspace {self._path.parent.parent} has a controller already (pid {pid or 'unknown'}).\n"
                "Clients find it by themselves; to replace it, run: mljupyter controller stop"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.write(self._descriptor, f"{os.getpid()}\n".encode())
        return self

    def held(self) -> bool:
        """Return whether the path still leads to this lock: not after the workspace was removed, moved or replaced.

        Without that, this process may not be the only controller, and must not write anything there.
        """
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # a file system that does not answer at the moment
            return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)
