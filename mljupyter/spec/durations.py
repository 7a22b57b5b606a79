"""Parse durations such as ``30s``, ``5m`` or ``1h``."""

from __future__ import annotations

import re
from datetime import timedelta

from mljupyter.spec.document import SpecError, shown_value

_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = 1e15
_TEXT = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([a-z]+)\s*")


def seconds_of(value: float | str | timedelta, name: str) -> float:
    """Return a duration in seconds.

    Parameters:
        value: a number of seconds, a `timedelta`, or text with a unit: ms, s, m, h, d.
        name: its name in errors.

    Raises:
        SpecError: when it has none of these forms.

    Example:
        >>> seconds_of("5m", "every"), seconds_of("1.5s", "every"), seconds_of(2, "every")
        (300.0, 1.5, 2.0)

    """
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LONGEST:
        return float(value)
    match = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in _SECONDS:
        raise SpecError(
            f"{name} is {shown_value(value)}: it must be a duration, such as 30s, 5m or 1h, or a number of seconds."
        )
    return float(match[1]) * _SECONDS[match[2]]
