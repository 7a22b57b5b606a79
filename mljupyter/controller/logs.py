"""Replicas' logs in one: all files of an endpoint, line by line in the order of time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

_LONGEST_LINE = 64 * 1024


def merged(files: Iterable[Path], lines: int) -> str:
    """Return the last lines of several logs, merged by the time each line begins with.

    Parameters:
        files: the logs; a rotated part (``replica.log.2``) belongs to the log it was cut from.
        lines: how many lines to return at most.

    """
    by_log: dict[Path, list[Path]] = {}
    for file in files:
        by_log.setdefault(file.parent, []).append(file)
    streams = [_timed(_lines(sorted(parts, key=_age, reverse=True)), lines) for parts in by_log.values()]
    newest = deque(heapq.merge(*streams, key=lambda item: item[0]), maxlen=lines)
    return "".join(line for _, line in newest)


def beginning(files: Iterable[Path], lines: int) -> str:
    """Return the first lines of the newest log: what import and ``init()`` printed."""
    newest = max(files, key=lambda file: file.stat().st_mtime, default=None)
    if newest is None:
        return ""
    parts = sorted(newest.parent.glob(f"{newest.name.split('.log')[0]}.log*"), key=_age, reverse=True)
    return "".join(islice(_lines(parts), lines))


def _age(file: Path) -> int:
    """Return how often a log has been rotated since this part was written."""
    return int(file.suffix[1:]) if file.suffix[1:].isdigit() else 0


def _lines(parts: Iterable[Path]) -> Iterator[str]:
    for part in parts:
        try:
            with part.open(errors="replace") as stream:
                while line := stream.readline(_LONGEST_LINE):
                    yield line if line.endswith("\n") else line + "\n"
        except OSError:  # rotated away in this moment
            continue


def _timed(lines: Iterable[str], count: int) -> Iterator[tuple[str, str]]:
    """Yield the last lines with their times; a line without one keeps that of the line before."""
    time = ""
    for line in deque(lines, maxlen=count):
        first = line.partition(" ")[0]
        time = first if first[:1].isdigit() and "T" in first else time
        yield time, line
