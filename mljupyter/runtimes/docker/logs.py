"""Logs of containers, read from a cursor on. The cursor is the engine's time stamp of a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING

from mljupyter.runtimes.base import ReplicaLog
from mljupyter.runtimes.timed_log import entries, part_after, seconds

if TYPE_CHECKING:
    from docker.models.containers import Container

_BEING_REMOVED = 409
"""The answer of an engine for the log of a container that it is removing."""

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
        after=partial(part_after, read),
    )


def _entries(
    container: Container, cursor: str | None, *, records: bool, guard: Guard
) -> Iterator[tuple[str, str | None]]:
    from docker.errors import APIError, NotFound

    since = seconds(cursor) if cursor is not None else None
    with guard():
        try:
            found = container.logs(stream=True, follow=False, timestamps=True, since=since)
            stamped = (entry.decode("utf-8", "replace") for entry in found)
            yield from entries(stamped, cursor, records=records, ended=lambda: container.status in ("exited", "dead"))
        except NotFound:  # removed while it was read: it has no further lines
            return
        except APIError as error:
            if error.status_code != _BEING_REMOVED:
                raise
