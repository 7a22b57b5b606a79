"""The sentence about an endpoint that does not exist, the same for SDK, magics, command line and pages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_SHOWN = 8


def unknown_endpoint(name: str, known: Iterable[str], place: str = "in this workspace") -> str:
    """Return the sentences about an unknown endpoint: the nearest one, or those that exist.

    Parameters:
        name: the name that no endpoint has.
        known: the names of the endpoints that exist.
        place: where there is none of this name.

    Example:
        >>> unknown_endpoint("diabets", ["diabetes", "iris"])
        "There is no endpoint 'diabets' in this workspace. Did you mean 'diabetes'?"

    """
    sentence = f"There is no endpoint {str(name)!r} {place}."
    names = sorted(set(known))
    near = difflib.get_close_matches(str(name), names, n=1)
    if near:
        return f"{sentence} Did you mean {near[0]!r}?"
    if not names:
        return f"{sentence} There are none yet."
    more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
    return f"{sentence} Known: {', '.join(names[:_MOST_SHOWN])}{more}."
