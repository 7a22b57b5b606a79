"""Logs with a time stamp before each line, as container engines and Kubernetes return them, read from a cursor on.

The cursor is the time stamp of a line. A container writes the records of requests into the same log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

from mljupyter.runtimes.base import LogPart

_RECORD = " azmlinfsrv.insights | {"
Read = Callable[[str | None], Iterator[tuple[str, str | None]]]


def part_after(read: Read, cursor: str | None, most_bytes: int | None = None, tail: int | None = None) -> LogPart:
    """Return the lines after a cursor; see `LogReader`.

    Parameters:
        read: yields the result of `entries` after a cursor.
        cursor: the time stamp of the last line that is known; None to begin with the first line.
        most_bytes: about the most bytes to return.
        tail: without effect: records and other lines are in one log, so that its last lines may be records alone.

    """
    lines, size = [], 0
    for time, line in read(cursor):
        cursor = time
        if line is not None:
            lines.append(line)
            size += len(line)
        if most_bytes is not None and size >= most_bytes:
            break
    return LogPart(lines, cursor)


def entries(
    stamped: Iterable[str], cursor: str | None, *, records: bool, ended: Callable[[], bool]
) -> Iterator[tuple[str, str | None]]:
    """Yield the time stamp of each whole line after a cursor, with the line or, if it is of the other kind, None.

    A long line comes in pieces, each with its own time stamp.

    Parameters:
        stamped: the pieces, each after its time stamp and a blank, those with a line end the last of their line.
        cursor: the time stamp of the last known line.
        records: yield the records of requests, one JSON object per line, instead of the other lines.
        ended: returns whether nothing more will be written, so that a last line without a line end is whole.

    """
    pieces: list[str] = []
    time = ""
    for entry in stamped:
        time, _, text = entry.partition(" ")
        if cursor is not None and time <= cursor:
            continue
        pieces.append(text)
        if text.endswith("\n"):
            line = "".join(pieces)
            pieces.clear()
            wanted = (_RECORD in line) == records
            yield time, (line.partition(" | ")[2] if records else line) if wanted else None
    if pieces and not records and ended():
        yield time, "".join(pieces)


def seconds(time: str) -> float:
    """Return a time stamp in seconds since the epoch, rounded down: a later one would skip lines.

    Text that is not a time stamp counts as the beginning.

    Example:
        >>> seconds("1970-01-01T00:00:07.500000000Z")
        7.499998

    """
    try:
        return max(datetime.fromisoformat(f"{time[:26]}").replace(tzinfo=UTC).timestamp() - 0.000_002, 0.0)
    except (OverflowError, ValueError):
        return 0.0
