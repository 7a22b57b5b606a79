"""Read numbers from query parameters of requests to the controller. Errors name the rule that a number breaks."""

from __future__ import annotations

import math
import re

from starlette.requests import Request

from mljupyter.client.bounds import LONGEST_POLL
from mljupyter.client.errors import InvalidSpecError
from mljupyter.spec.version import LARGEST_NUMBER

_MOST_SHOWN = 50
_WHOLE = re.compile(r"-?[0-9]{1,19}")


def whole_number(request: Request, name: str, default: int, least: int = 0, most: int = LARGEST_NUMBER) -> int:
    """Return an integer of a query.

    Parameters:
        request: the request.
        name: the number's name in the query.
        default: the value if it is missing.
        least, most: its minimum and maximum.

    Raises:
        InvalidSpecError: when it is not an integer, or out of bounds.

    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        raise _refusal(name, text, f"a whole number from {least} to {most}")
    return int(text)


def poll_timeout(request: Request) -> float:
    """Return the timeout in seconds of a request that waits for a change: at most a minute, 0 if it is missing.

    Raises:
        InvalidSpecError: when it is not a number of seconds.

    """
    text = request.query_params.get("timeout", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise _refusal("timeout", text, "a number of seconds, 0 or more")
    return min(seconds, LONGEST_POLL)


def _refusal(name: str, text: str, rule: str) -> InvalidSpecError:
    shown = text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "..."
    return InvalidSpecError(f"{name} is {shown!r}: it must be {rule}.")
