"""Limits for numbers in requests, shared by the controller's HTTP API and its clients."""

from __future__ import annotations

from mljupyter.client.errors import InvalidSpecError

LONGEST_POLL = 60.0
"""Longest time in seconds that a request may wait for a change."""

MOST_LOG_LINES = 100_000
MOST_DECISIONS = 1000
MOST_COLLECTED_FILES = 1000
"""Largest number of files of collected data in one answer."""

MOST_COLLECTED_BYTES = 4 << 20
"""Largest piece of a file of collected data in one answer."""


def count_within(name: str, value: object, most: int) -> int:
    """Return the requested number of lines or records, at most `most`.

    Raises:
        InvalidSpecError: it is not a whole number. The controller refuses negative numbers.

    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidSpecError(f"{name} is {value!r}: it must be a whole number.")
    return max(-1, min(value, most))
