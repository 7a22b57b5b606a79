"""Follow the logs of an endpoint's replicas: new lines since a position (cursor) from the client.

The client stores the position. So following continues across a restart of the controller, and a new replica is read
from its first line.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mljupyter.client.errors import InvalidSpecError
from mljupyter.controller.logs.merge import in_order
from mljupyter.outside import json_value
from mljupyter.runtimes.base import ReplicaLog

_LOOK_EVERY = 0.2
_MOST_BYTES_EACH = 1 << 20


@dataclass(frozen=True)
class Followed:
    """New lines, and the position after them."""

    lines: list[str]
    cursor: str


async def follow(
    find: Callable[[], Sequence[ReplicaLog]],
    cursor: str | None,
    tail: int,
    timeout_seconds: float,
    ending: Callable[[], bool] = lambda: False,
) -> Followed:
    """Return lines as soon as there are any after the position, or none after `timeout_seconds`.

    Parameters:
        find: returns the current logs. It is called in a thread, for each check.
        cursor: the position; None to begin with the last `tail` lines, without waiting.
        tail: the number of lines to begin with.
        timeout_seconds: the longest wait.
        ending: returns True to end all waits.

    Raises:
        InvalidSpecError: when `cursor` is not from an earlier answer.

    """
    places = None if cursor is None else _decoded(cursor)
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = await asyncio.to_thread(_look, find, places, tail)
        if found.lines or places is None or ending() or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(_LOOK_EVERY)


def _look(find: Callable[[], Sequence[ReplicaLog]], places: dict[str, str | None] | None, tail: int) -> Followed:
    parts, reached = [], {}
    for log in find():
        begin = places.get(log.replica_id) if places is not None else None
        part = log.after(begin, None if places is None else _MOST_BYTES_EACH, tail if places is None else None)
        reached[log.replica_id] = part.cursor
        parts.append(part.lines)
    lines = [line for _, line in in_order(parts)]
    if places is None:
        lines = lines[-tail:] if tail else []
    return Followed(lines, base64.urlsafe_b64encode(json.dumps(reached).encode()).decode())


def _decoded(cursor: str) -> dict[str, str | None]:
    try:
        places = json_value(base64.urlsafe_b64decode(cursor))
    except ValueError:
        places = None
    if not isinstance(places, dict) or not all(isinstance(place, str | None) for place in places.values()):
        raise InvalidSpecError(f"cursor is {cursor[:50]!r}: it must be one from an earlier answer.")
    return places
