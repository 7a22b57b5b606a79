"""Log files that rotate, read from a cursor on, across rotations.

A cursor holds a file's inode number, a checksum of its first line, since inode numbers are used again, and an offset.
It stays valid when the file is renamed.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, TextIO

from mljupyter.runtimes.base import LogPart, ReplicaLog

INSIGHTS = "insights.jsonl"
_LONGEST_LINE = 64 * 1024
_BEGINNING = 256
_ATTEMPTS = 3
_BLOCK = 256 * 1024
_MOST_TAIL_BYTES = 16 << 20
_OFFSET = re.compile(r"[0-9]{1,18}")


def replica_log(directory: Path, name: str, before: Path | None = None) -> ReplicaLog:
    """Return the log of a replica in its directory. The file does not have to exist yet.

    `before` is the log of the zygote that ran ``init()`` for the replica; None without a zygote.
    """
    file = directory / name
    return ReplicaLog(
        replica_id=directory.name,
        started_time=directory.stat().st_mtime,
        lines=partial(lines, file),
        before=None if before is None else partial(lines, before),
        after=partial(after, file),
    )


def record_logs(replicas: Path) -> list[ReplicaLog]:
    """Return the request logs in the directories of replicas."""
    return [replica_log(directory, INSIGHTS) for directory in replicas.iterdir() if (directory / INSIGHTS).exists()]


def lines(file: Path) -> Iterator[str]:
    """Yield the lines of a log, the oldest rotated part first."""
    for part in _parts(file):
        # Only line feeds end lines: the text after a carriage return could look like another record.
        with contextlib.suppress(OSError), _text(part) as stream:  # it may have been rotated away
            while line := stream.readline(_LONGEST_LINE):
                yield line


def _text(part: Path) -> TextIO:
    return part.open(encoding="utf-8", errors="replace", newline="\n")


def after(file: Path, cursor: str | None, most_bytes: int | None = None, tail: int | None = None) -> LogPart:
    """Return the whole lines of a log after a cursor, and for None all of them or the last ones; see `LogReader`."""
    for _ in range(_ATTEMPTS):
        with contextlib.ExitStack() as stack:
            opened = _opened(file, stack)
            if opened is not None:
                return _read(opened, cursor, most_bytes, tail)
    return LogPart([], cursor)  # it rotates faster than it can be opened: the next call tries again


def _opened(file: Path, stack: contextlib.ExitStack) -> list[BinaryIO] | None:
    """Open all parts, oldest first; return None when they were renamed in the meantime."""
    opened: list[BinaryIO] = []
    try:
        opened.extend(stack.enter_context(part.open("rb")) for part in _parts(file))
    except FileNotFoundError:
        return None
    numbers = [_number(stream) for stream in opened]
    with contextlib.suppress(FileNotFoundError):
        if numbers == [part.stat().st_ino for part in _parts(file)]:
            return opened
    return None


def _read(parts: list[BinaryIO], cursor: str | None, most_bytes: int | None, tail: int | None) -> LogPart:
    if cursor is None and tail is not None:
        first, offset, lost = *_place_of_tail(parts, tail), False
    else:
        first, offset, lost = _place(parts, cursor)
    found: list[str] = []
    left = most_bytes
    for index in range(first, len(parts)):
        stream, last = parts[index], index == len(parts) - 1
        stream.seek(offset)
        data = stream.read(-1 if left is None else max(left, 1))
        more = left is not None and len(data) == max(left, 1)
        end = data.rfind(b"\n") + 1
        if more and not end:
            data += stream.readline()  # one line alone is longer than asked for
            end = len(data)
        elif last or more:
            data = data[:end]  # the rest of a line may still be written
        found += _split(data)
        if offset + len(data):
            cursor = f"{_identity(stream)}:{offset + len(data)}"
        if more:
            return LogPart(found, cursor, lost)
        left = None if left is None else left - len(data)
        offset = 0
    return LogPart(found, cursor, lost)


def _split(data: bytes) -> list[str]:
    """Split at line feeds only: text can have other characters that `str.splitlines` takes for line ends."""
    cut = data.removesuffix(b"\n").split(b"\n") if data else []
    return [line.decode("utf-8", "replace") + "\n" for line in cut]


def _place(parts: list[BinaryIO], cursor: str | None) -> tuple[int, int, bool]:
    """Return the part to begin with, the offset in it, and whether lines before it are missing."""
    if cursor is None:
        return 0, 0, False
    identity, _, offset = cursor.rpartition(":")
    known = int(offset) if _OFFSET.fullmatch(offset) else -1
    for index, stream in enumerate(parts):
        if known >= 0 and _identity(stream) == identity and known <= os.fstat(stream.fileno()).st_size:
            return index, known, False
    return 0, 0, bool(parts)


def _place_of_tail(parts: list[BinaryIO], tail: int) -> tuple[int, int]:
    """Return the part with the beginning of the last `tail` lines, and the offset in it.

    It reads backwards, so that a log of any length opens at once, and stops where lines are longer than those of logs.
    """
    wanted, left = tail, _MOST_TAIL_BYTES
    reached = max(len(parts) - 1, 0), os.fstat(parts[-1].fileno()).st_size if parts else 0
    for index in reversed(range(len(parts))):
        end = os.fstat(parts[index].fileno()).st_size
        while end:
            begin = max(end - _BLOCK, 0)
            parts[index].seek(begin)
            data = parts[index].read(end - begin)
            count = data.count(b"\n")
            if count > wanted:
                place = len(data)
                for _ in range(wanted + 1):
                    place = data.rfind(b"\n", 0, place)
                return index, begin + place + 1
            if count:
                reached = index, begin + data.find(b"\n") + 1
            wanted, end, left = wanted - count, begin, left - len(data)
            if left <= 0:
                return reached
    return 0, 0


def _identity(stream: BinaryIO) -> str:
    stream.seek(0)
    return f"{_number(stream)}:{zlib.crc32(stream.readline(_BEGINNING)):x}"


def _number(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_ino


def _parts(file: Path) -> list[Path]:
    """Return the parts of a log that exist, oldest first."""
    with contextlib.suppress(FileNotFoundError):
        parts = [part for part in file.parent.iterdir() if part == file or _age(part.name, file.name)]
        return sorted(parts, key=lambda part: _age(part.name, file.name), reverse=True)
    return []


def _age(name: str, newest: str) -> int:
    """Return how many times a log has been rotated since this part was written; 0 for the newest."""
    rest = name.removeprefix(f"{newest}.")
    return int(rest) if rest != name and rest.isdigit() else 0
