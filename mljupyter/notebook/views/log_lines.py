"""Log filter by time, level and text. A line without a timestamp belongs to the previous line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

LEVELS = ("debug", "info", "warning", "error", "critical")
_LETTERS = "".join(level[0].upper() for level in LEVELS)
# Lines of replicas: TIME LEVEL [PID] LOGGER | TEXT. A level is its first letter.
_LINE = re.compile(r"^(?P<time>\d{4}-\d\d-\d\dT\S+) +(?P<level>[DIWEC])[A-Za-z]* ")


@dataclass(frozen=True)
class Filter:
    """A filter of log lines.

    Parameters:
        pattern: regular expression that the line must match; None for all lines.
        level: the lowest level; a line without a level has that of the line before.
        since: the earliest time; None for any.

    """

    pattern: re.Pattern[str] | None = None
    level: str | None = None
    since: datetime | None = None

    def chosen(self, lines: Iterable[str]) -> Iterator[str]:
        """Yield the lines to show, in order.

        Example:
            >>> list(Filter(level="warning").chosen(["2026-01-01T00:00:00Z I x", "2026-01-01T00:00:01Z E y"]))
            ['2026-01-01T00:00:01Z E y']

        """
        fits = self.level is None and self.since is None
        for line in lines:
            head = _LINE.match(line)
            if head is not None:
                fits = self._late_enough(head["time"]) and self._grave_enough(head["level"])
            if fits and (self.pattern is None or self.pattern.search(line)):
                yield line

    def _late_enough(self, text: str) -> bool:
        if self.since is None:
            return True
        try:
            return datetime.fromisoformat(text) >= self.since
        except (TypeError, ValueError):  # the text may only resemble a time
            return False

    def _grave_enough(self, text: str) -> bool:
        return self.level is None or _LETTERS.index(text) >= LEVELS.index(self.level)
