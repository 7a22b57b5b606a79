"""Logs of containers, read from a cursor on. The cursor is the engine's time stamp of a line."""

from __future__ import annotations

import contextlib
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
    """Return a container's log without the records of requests, or these records alone.

    Parameters:
        container: the container.
        replica_id: the replica that runs in it.
        started_time: its start, in seconds since the epoch.
        records: return the records, one JSON object per line, instead of the log.
        guard: returns a context manager for calls of the engine.

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
    """Yield the time stamp of each whole line after a cursor, with the line or, if it is of the other kind, None.

    The engine returns a long line in pieces, each with its own time stamp.
    """
    from docker.errors import NotFound

    since = _seconds(cursor) if cursor is not None else None
    with guard(), contextlib.suppress(NotFound):  # removed while it was read: it has no further lines
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
    """Return a time stamp of the engine in seconds since the epoch, rounded down: a later one would skip lines."""
    try:
        return max(datetime.fromisoformat(f"{time[:26]}").replace(tzinfo=UTC).timestamp() - 0.000_002, 0.0)
    except (OverflowError, ValueError):  # not a time stamp of the engine: read from the beginning
        return 0.0
