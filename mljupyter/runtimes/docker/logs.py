"""Logs of containers, from a place on: the engine's own time of a line is the place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from mljupyter.runtimes.base import LogPart, ReplicaLog

if TYPE_CHECKING:
    from docker.models.containers import Container

_RECORD = " azmlinfsrv.insights | {"
Guard = Callable[[], AbstractContextManager[None]]


def replica_log(
    container: Container, replica_id: str, started_time: float, *, records: bool, guard: Guard
) -> ReplicaLog:
    """Return a container's log, or the records of requests that stand among it.

    Parameters:
        container: the container.
        replica_id: the replica that it is.
        started_time: when it was started, in seconds since the epoch.
        records: the records, as lines of JSON, instead of the log without them.
        guard: a context manager around calls of the engine.

    """
    read = partial(_entries, container, records=records, guard=guard)
    return ReplicaLog(
        replica_id,
        started_time,
        lines=lambda: (line for _, line in read(None) if line is not None),
        after=partial(_after, read),
    )


def _after(
    read: Callable[[str | None], Iterator[tuple[str, str | None]]], cursor: str | None, most_bytes: int | None = None
) -> LogPart:
    lines, size = [], 0
    for time, line in read(cursor):
        cursor = time
        if line is not None:
            lines.append(line)
            size += len(line)
        if most_bytes is not None and size >= most_bytes:
            break
    return LogPart(lines, cursor)


def _entries(
    container: Container, cursor: str | None, *, records: bool, guard: Guard
) -> Iterator[tuple[str, str | None]]:
    """Yield the times of whole lines after a place, with the line if it is of the kind wanted.

    The engine hands out a long line in pieces, each with a time of its own.
    """
    since = _seconds(cursor) if cursor is not None else None
    with guard():
        pieces: list[str] = []
        for entry in container.logs(stream=True, follow=False, timestamps=True, since=since):
            time, _, text = entry.decode("utf-8", "replace").partition(" ")
            if cursor is not None and time <= cursor:
                continue
            pieces.append(text)
            if text.endswith("\n"):
                line = "".join(pieces)
                pieces.clear()
                wanted = (_RECORD in line) == records
                yield time, (line.partition(" | ")[2] if records else line) if wanted else None
        if pieces and not records and container.status in ("exited", "dead"):
            yield time, "".join(pieces)


def _seconds(time: str) -> float:
    """Return the engine's time in seconds since the epoch, not later than it is: parts of a microsecond are cut."""
    try:
        return max(datetime.fromisoformat(f"{time[:26]}").replace(tzinfo=UTC).timestamp() - 0.000_002, 0.0)
    except (OverflowError, ValueError):  # no time of the engine's: as if there were no place
        return 0.0
