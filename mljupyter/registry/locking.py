"""Advisory locks on directories: they need no extra file and end with the process that holds them.

The library `filelock` is not used. Its locks need a file of their own, which stays behind, and its shared lock is an
SQLite database. Here the directory itself is locked, exclusively or shared, so that several processes can read at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mljupyter.errors import MLJupyterError

POLL_SECONDS = 0.02
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


class NoLocksError(MLJupyterError):
    """The file system of a workspace has no locks, such as NFS without its lock service."""


def check_locks(directory: Path) -> None:
    """Raise `NoLocksError` when files in an existing directory cannot be locked. The lock is free again at once."""
    with locked_directory(directory, exclusive=False):
        pass


@contextmanager
def locked_directory(directory: Path, *, exclusive: bool, timeout: float | None = None) -> Iterator[None]:
    """Hold a lock on an existing directory. Wait for it at most `timeout` seconds (None: without limit).

    Raises `TimeoutError` when another holder keeps it for that time.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        wait_for_lock(descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH, timeout)
        yield
    finally:
        os.close(descriptor)


def wait_for_lock(descriptor: int, kind: int, timeout: float | None) -> None:
    """Lock an open file or directory, in the same way as `locked_directory`."""
    if timeout is None:
        with _translated(descriptor):
            fcntl.flock(descriptor, kind)
        return
    deadline = time.monotonic() + timeout
    while not try_lock(descriptor, kind):
        if time.monotonic() > deadline:
            raise TimeoutError(f"lock not free after {timeout:g} s")
        time.sleep(POLL_SECONDS)


def try_lock(descriptor: int, kind: int) -> bool:
    """Lock without waiting. Return False when the lock is held by another holder."""
    try:
        with _translated(descriptor):
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _translated(descriptor: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        place = _path_of(descriptor)
        raise NoLocksError(
            f"{place} is on a file system without locks ({error.strerror}), such as NFS without its lock service.\n"
            "Processes could change a workspace there at the same time. Keep it on a local disk:\n"
            "set MLJUPYTER_HOME to a directory there, or give one: Workspace.create(..., path=DIR)."
        ) from None


def _path_of(descriptor: int) -> str:
    try:
        return repr(str(Path(f"/dev/fd/{descriptor}").readlink()))
    except OSError:  # not every system shows it
        return "the workspace"
