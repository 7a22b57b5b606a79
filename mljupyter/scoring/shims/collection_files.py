"""CSV files that several threads and processes append to, with a short limit on the wait for a lock."""

# ruff: noqa: PTH103, PTH118
# pathlib takes 3 ms to import, and every replica that collects would pay them.
from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sys
import time
from collections.abc import Sequence
from threading import Lock

_LOCK_SECONDS = 0.1
_LOCK_PAUSE_SECONDS = 0.001
_MAX_HEADERS = 20  # files of one day with different columns


class CollectionFiles:
    """The CSV files of one collector. `dropped` counts failed writes.

    Parameters:
        storage: the directory that all files are below.
        name: the name of the files, without their ending.
        writer: the name of the replica, if its files must be its own: locks do not work on every volume that several
            nodes mount.

    """

    def __init__(self, storage: str, name: str, writer: str = "") -> None:
        self._storage = storage
        self._name = os.path.basename(name) or "data"  # noqa: PTH119
        self._ending = f".{os.path.basename(writer)}.csv" if writer else ".csv"  # noqa: PTH119
        self._counting = Lock()
        self.dropped = 0

    def append(self, directories: Sequence[str], header: bytes, rows: bytes) -> None:
        """Append rows to the file with this header in a directory; drop and count them when that fails.

        Each different header has its own file: ``data.csv``, ``data-2.csv``, and so on; with a writer
        ``data.WRITER.csv``.
        """
        try:
            directory = os.path.join(self._storage, *directories)
            os.makedirs(directory, mode=0o700, exist_ok=True)
            for number in range(1, _MAX_HEADERS + 1):
                name = f"{self._name}{'' if number == 1 else f'-{number}'}{self._ending}"
                if _append(os.path.join(directory, name), header, rows):
                    return
            raise OSError(errno.EMFILE, f"more than {_MAX_HEADERS} different headers on one day")
        except OSError as error:
            self._count(error)

    def _count(self, error: OSError) -> None:
        with self._counting:
            self.dropped += 1
            number = self.dropped
        if number & (number - 1) == 0:  # 1, 2, 4, 8, ...: a full disk must not fill the log
            reason = error.strerror or str(error)
            print(f"model data collection: dropped {number} time(s) so far, now because: {reason}", file=sys.stderr)


def _append(path: str, header: bytes, rows: bytes) -> bool:
    """Append rows, after the header when the file is new; return False when the file has another header."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor)
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, len(header), 0) != header:
            return False
        data = rows if size else header + rows
        try:
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)  # half a row would corrupt the file
            raise
        return True
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OSError(errno.EBUSY, f"the file was locked for {_LOCK_SECONDS:g} s") from None
        time.sleep(_LOCK_PAUSE_SECONDS)
