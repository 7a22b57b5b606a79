"""Merge the logs of all replicas of an endpoint into one, ordered by time."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from mljupyter.runtimes.base import ReplicaLog


def merged(logs: Iterable[ReplicaLog], lines: int) -> str:
    """Return the last lines of several logs, merged by the time each line begins with.

    Parameters:
        logs: the logs.
        lines: the largest number of lines to return.

    """
    newest = deque(in_order([deque(log.lines(), maxlen=lines) for log in logs]), maxlen=lines)
    return "".join(line for _, line in newest)


def in_order(logs: Sequence[Iterable[str]]) -> Iterator[tuple[str, str]]:
    """Yield the lines of several logs with their times, in the order of time."""
    return heapq.merge(*map(_timed, logs), key=lambda item: item[0])


def beginning(logs: Iterable[ReplicaLog], lines: int) -> str:
    """Return the first lines of the newest log, with the output of import and ``init()``."""
    newest = max(logs, key=lambda log: log.started_time, default=None)
    if newest is None:
        return ""
    before = newest.before() if newest.before is not None else ()
    return "".join(map(_ended, islice(chain(before, newest.lines()), lines)))


def _timed(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield lines with their times. A line without a time gets that of the line before."""
    time = ""
    for line in lines:
        first = line.partition(" ")[0]
        time = first if first[:1].isdigit() and "T" in first else time
        yield time, _ended(line)


def _ended(line: str) -> str:
    return line if line.endswith("\n") else line + "\n"
