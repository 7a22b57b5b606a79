"""The outputs of the log, a rotating file or standard output, and the form of its lines."""

# ruff: noqa: PTH105, PTH110
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import os
import time
from typing import Protocol

LEVEL_OF_LETTER = {"D": 10, "I": 20, "W": 30, "E": 40, "C": 50}


def prefix(level: str, pid: int, logger: str) -> bytes:
    """Return the prefix of a message: UTC time, level letter, [pid] and logger name (Azure ML v1: log line)."""
    now = time.time_ns() // 1000
    clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 1_000_000))
    return f"{clock}.{now % 1_000_000:06d}Z {level} [{pid}] {logger} | ".encode()


class Sink(Protocol):
    """An output for complete lines."""

    def write(self, data: bytes) -> None:
        """Write complete lines; raise OSError when that fails."""

    def close(self) -> None:
        """Close the output."""


class StandardOutput:
    """The standard output of the server."""

    def write(self, data: bytes) -> None:
        """Write complete lines to descriptor 1."""
        _write_all(1, data)

    def close(self) -> None:
        """Leave standard output open, since this class has not opened it."""


class RotatingFile:
    """A log file of mode 0600; it is rotated to `.1`, `.2`, ... before it grows beyond `max_bytes`."""

    def __init__(self, path: str, max_bytes: int, backups: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._descriptor = self._open()
        self._size = os.fstat(self._descriptor).st_size

    def write(self, data: bytes) -> None:
        """Append complete lines, after a rotation if they would not fit."""
        if self._size and self._size + len(data) > self._max_bytes:
            self._rotate()
        try:
            _write_all(self._descriptor, data)
        finally:
            self._size = os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _rotate(self) -> None:
        if self._backups == 0:
            os.ftruncate(self._descriptor, 0)
            return
        for number in range(self._backups - 1, 0, -1):
            if os.path.exists(f"{self._path}.{number}"):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")
        previous, self._descriptor = self._descriptor, self._open()
        os.close(previous)


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
