"""Bounds of numbers that the controller's HTTP interface and its clients share."""

from __future__ import annotations

from mljupyter.client.errors import InvalidSpecError

LONGEST_POLL = 60.0
"""Seconds that a request may wait for something to happen."""

MOST_LOG_LINES = 100_000
MOST_DECISIONS = 1000


def count_within(name: str, value: object, most: int) -> int:
    """Return how many lines or records a client asks for: not more than there may be.

    Raises:
        InvalidSpecError: when it is not a whole number; a negative one is refused by the controller.

    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidSpecError(f"{name} is {value!r}: it must be a whole number.")
    return max(-1, min(value, most))
