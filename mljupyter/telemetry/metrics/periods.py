"""Parse lengths of time such as ``15m`` or ``7d``."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

from mljupyter.errors import MLJupyterError

Length = str | float | int | timedelta
_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TEXT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|sec|m|min|h|d|w)\s*")


class PeriodError(MLJupyterError):
    """A length of time is not valid."""


def seconds_of(length: Length, name: str = "since") -> float:
    """Return a length of time in seconds.

    Parameters:
        length: text such as ``'90s'``, ``'15m'``, ``'2h'``, ``'7d'`` or ``'1w'``, a number of seconds, or a timedelta.
        name: the name of the value, for the error.

    Raises:
        PeriodError: when it has none of these forms, or is not above 0.

    Example:
        >>> seconds_of("15m"), seconds_of(30), seconds_of("1.5 h")
        (900.0, 30.0, 5400.0)

    """
    seconds = math.nan
    if isinstance(length, timedelta):
        seconds = length.total_seconds()
    elif isinstance(length, int | float) and not isinstance(length, bool):
        seconds = float(length)
    elif isinstance(length, str) and (match := _TEXT.fullmatch(length)):
        seconds = float(match[1]) * _UNITS[match[2]]
    if not (seconds > 0 and math.isfinite(seconds)):
        raise PeriodError(f"{name} is {length!r}: give a length of time above 0, such as '30s', '15m', '2h' or '7d'.")
    return seconds


def seconds_since(moment: Length | datetime, now: datetime) -> float:
    """Return the seconds since a moment, which is given as a length of time before now or as a time.

    Parameters:
        moment: as for `seconds_of`, or a datetime. One without a time zone is local time.
        now: the time now.

    Raises:
        PeriodError: when it is not valid, or lies in the future.

    """
    if not isinstance(moment, datetime):
        return seconds_of(moment)
    seconds = (now - moment.astimezone(UTC)).total_seconds()
    if seconds <= 0:
        raise PeriodError(f"since is {moment.isoformat()}: it must lie in the past.")
    return seconds
