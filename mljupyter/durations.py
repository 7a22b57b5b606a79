"""Durations as people write them: ``30s``, ``5m``, ``1.5h``, ``7d``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from mljupyter.errors import MLJupyterError
from mljupyter.visible import shown_value

Duration = float | str | timedelta
_UNITS = {"ms": 1e-3, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TEXT = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([a-z]+)\s*")
_LONGEST_SECONDS = 1e15  # documents hold no larger numbers


class DurationError(MLJupyterError):
    """A value is not a duration."""


def seconds_in(text: str) -> float | None:
    """Return the seconds of a duration with a unit: ms, s, sec, m, min, h, d or w; None for any other text.

    Example:
        >>> seconds_in("15m"), seconds_in("1.5 h"), seconds_in("250ms"), seconds_in("15")
        (900.0, 5400.0, 0.25, None)

    """
    match = _TEXT.fullmatch(text)
    return None if match is None or match[2] not in _UNITS else float(match[1]) * _UNITS[match[2]]


def seconds_of(value: Duration, name: str, *, above_zero: bool = False) -> float:
    """Return a duration in seconds.

    Parameters:
        value: text with a unit, as for `seconds_in`, a number of seconds, or a `timedelta`.
        name: the name of the value in errors.
        above_zero: refuse zero and less.

    Raises:
        DurationError: it is none of these, or breaks a rule.

    Example:
        >>> seconds_of("5m", "every"), seconds_of("1.5s", "every"), seconds_of(2, "every")
        (300.0, 1.5, 2.0)

    """
    seconds: float | None = None
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, str):
        seconds = seconds_in(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LONGEST_SECONDS:
        seconds = float(value)  # NaN is not within the bounds
    if seconds is None or (above_zero and seconds <= 0):
        rule = " above 0" if above_zero else ""
        raise DurationError(
            f"{name} is {shown_value(value)}: "
            f"it must be a duration{rule}, such as 30s, 5m or 1h, or a number of seconds."
        )
    return seconds


def seconds_since(moment: Duration | datetime, now: datetime) -> float:
    """Return how long ago a moment was, in seconds.

    Parameters:
        moment: a duration before now, as for `seconds_of`, or a datetime; one without a time zone is local time.
        now: the time now.

    Raises:
        DurationError: it cannot be understood, or lies in the future.

    """
    if not isinstance(moment, datetime):
        return seconds_of(moment, "since", above_zero=True)
    seconds = (now - moment.astimezone(UTC)).total_seconds()
    if seconds <= 0:
        raise DurationError(f"since is {moment.isoformat()}: it must lie in the past.")
    return seconds
