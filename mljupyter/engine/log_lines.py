"""Log lines of replicas: their parts, and their form for people. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

# TIME LEVEL [PID] LOGGER | TEXT. A level is its first letter.
_LINE = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\dT\S+) +(?P<level>[DIWEC])[A-Za-z]* (?:\[\d+\] )?(?:[\w.]+ \| ?)?(?P<text>.*)$", re.DOTALL
)
_FRAME = re.compile(r'^ *File "(?P<file>[^"]+)", line (?P<line>\d+), in ')
_RAISED = re.compile(
    r"^(?:init\(\) of )?the scoring script(?: \S+)? (?P<what>raised|cannot be imported:) (?P<error>\S.*)$"
)


@dataclass(frozen=True)
class FailedStart:
    """The reason why a scoring script did not start.

    Parameters:
        step: ``init()`` or ``import``.
        file: the name of the script; the empty text if the log does not have it.
        line: the line of the script.
        error: the exception, for example ``RuntimeError: no weights``.

    """

    step: str
    file: str
    line: int
    error: str

    def sentence(self, place: str = "") -> str:
        """Return the reason in a sentence.

        Parameters:
            place: what the user calls the script, for example ``the cell``; by default the name of its file.

        Example:
            >>> FailedStart("init()", "score.py", 4, "RuntimeError: no weights").sentence("the cell")
            'init() failed in line 4 of the cell: RuntimeError: no weights'

        """
        where = f" in line {self.line} of {place or self.file}" if self.file else ""
        return f"{self.step} failed{where}: {self.error}"


def failed_start(lines: Iterable[str]) -> FailedStart | None:
    """Return the reason of a failed start, read from the end of a replica's log; None if it does not tell one.

    The line is the last one of the script in the traceback.
    """
    step = error = file = ""
    number = 0
    for line in lines:
        text = text_of(line)
        if found := _RAISED.match(text):
            if error:
                break  # the server repeats the reason of its worker
            step, error = "init()" if found["what"] == "raised" else "import", found["error"]
        elif error and (frame := _FRAME.match(text)) and file in ("", frame["file"]):
            file, number = frame["file"], int(frame["line"])
    if not error:
        return None
    return FailedStart(step, file.rpartition("/")[2], number, error)


def text_of(line: str) -> str:
    """Return the text of a line, without time, level, process and logger."""
    found = _LINE.match(line)
    return found["text"] if found else line


def shown_line(line: str, now: datetime, zone: tzinfo | None = None) -> str:
    """Return a line for people: local time to the millisecond, level, text. A line without a time stays as it is.

    Parameters:
        line: the line of a replica's log.
        now: the time now; the date is written only if it is another day.
        zone: the time zone; None for that of this machine.

    Example:
        >>> from datetime import UTC
        >>> now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        >>> shown_line("2026-01-01T09:10:52.076063Z E [7] azmlinfsrv | no weights", now, UTC)
        '09:10:52.076 E no weights'

    """
    found = _LINE.match(line)
    if found is None:
        return line
    try:
        time = datetime.fromisoformat(found["time"]).astimezone(zone)
    except ValueError:  # the text may only resemble a time
        return line
    day = "" if time.date() == now.astimezone(zone).date() else f"{time:%Y-%m-%d} "
    return f"{day}{time:%H:%M:%S}.{time.microsecond // 1000:03} {found['level']} {found['text']}"


def shown_lines(lines: Iterable[str], now: datetime, zone: tzinfo | None = None) -> Iterator[str]:
    """Yield lines for people; see `shown_line`."""
    return (shown_line(line, now, zone) for line in lines)
