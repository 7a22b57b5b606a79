"""Fast encoding of long JSON results: msgspec writes the bytes that `json.dumps` would write, or nothing.

msgspec and `json.dumps` differ in floats with an exponent, NaN and infinities, characters beyond ASCII, and in types
that only one of them takes. So the types of all values are looked at first, which takes a tenth of the time of
`json.dumps`.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from mljupyter.scoring.worker import fast_json

LONG = 100
"""Lists with fewer entries are encoded by the standard library."""
FIRST = 2000
"""The least number of entries for which msgspec is imported."""

_encode = json.JSONEncoder(separators=(",", ":")).encode
_PLAIN = frozenset((float, int, str, bool, type(None)))
_CONTAINERS = frozenset((list, dict))
_MOST_LEVELS = 12
_MOST_MEMBERS = 20
# msgspec writes 1e16, 1e-7 and 0.00001 where Python writes 1e+16, 1e-07 and 1e-05.
_SMALLEST_SAME, _LARGEST_SAME = 1e-4, 1e16


def compact(value: Any) -> bytes | None:
    """Return `json.dumps(value, separators=(",", ":"))` as bytes if that is certain and pays, None otherwise."""
    if not _is_long(value, LONG) or fast_json.msgspec(needed=_is_long(value, FIRST)) is None:
        return None
    if type(value) is dict and len(value) <= _MOST_MEMBERS and set(map(type, value)) == {str}:
        return _members(value)
    return _whole(value)


def _members(value: dict[str, Any]) -> bytes | None:
    """Return the text of an object, of which each member is encoded by itself."""
    members = []
    try:
        for name, member in value.items():
            encoded = _whole(member) if _is_long(member, LONG) else None
            members.append(_encode(name).encode() + b":" + (encoded or _encode(member).encode()))
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None  # the standard library raises it again, for the whole value
    return b"{" + b",".join(members) + b"}"


def _whole(value: Any) -> bytes | None:
    library = fast_json.msgspec(needed=False)
    found = None if library is None else _values(value)
    if library is None or found is None:
        return None
    values, kinds, is_even = found
    sizes: list[float] = []
    has_exponents = False
    if float in kinds:
        sizes = list(map(abs, values if len(kinds) == 1 else [one for one in values if type(one) is float]))
        if not sum(sizes) < float("inf"):  # NaN neither
            return None
        has_exponents = max(sizes) >= _LARGEST_SAME or min(filter(None, sizes), default=1) < _SMALLEST_SAME
        if has_exponents and not (is_even and len(kinds) == 1):
            return None
    try:
        encoded: bytes = library.json.encode(value)
    except (library.MsgspecError, ValueError, OverflowError, RecursionError, MemoryError, TypeError):
        return None
    if not encoded.isascii() or b"\x7f" in encoded:
        return None  # the standard library escapes these characters
    return _as_python_writes(encoded, values, sizes) if has_exponents else encoded


def _is_long(value: Any, least: int, levels: int = 4) -> bool:
    """Return whether a list or object has a list of at least `least` entries near its beginning."""
    if type(value) is list and value:
        return len(value) >= least or (levels > 0 and _is_long(value[0], least, levels - 1))
    if type(value) is dict and levels > 0:
        return len(value) >= least or any(_is_long(one, least, levels - 1) for one in value.values())
    return False


def _values(value: Any) -> tuple[list[Any], set[type], bool] | None:
    """Return all values in lists and objects, their types, and whether they are in lists of one depth.

    None stands for other types. In lists of one depth, the values have the order in which they are encoded.
    """
    found: list[Any] = []
    kinds: set[type] = set()
    is_even = True
    level = [value]
    for _ in range(_MOST_LEVELS):
        here = set(map(type, level))
        kinds |= here - _CONTAINERS
        if not kinds <= _PLAIN:
            return None
        if here <= _PLAIN:
            return found + level, kinds, is_even
        inner: list[Any] = []
        if dict in here:
            objects = level if len(here) == 1 else [one for one in level if type(one) is dict]
            is_even = False
            if set(map(type, chain.from_iterable(objects))) - {str}:
                return None
            inner.extend(chain.from_iterable(map(dict.values, objects)))
        if list in here:
            inner.extend(chain.from_iterable(level if len(here) == 1 else [one for one in level if type(one) is list]))
        if here - _CONTAINERS:
            is_even = False
            found.extend([one for one in level if type(one) in _PLAIN])
        level = inner
    return None


def _as_python_writes(encoded: bytes, numbers: list[float], sizes: list[float]) -> bytes | None:
    """Return the text of lists of numbers with those that Python writes in another way replaced."""
    parts = encoded.split(b",")
    if len(parts) != len(numbers):  # there are empty lists
        return None
    for place in [n for n, size in enumerate(sizes) if size >= _LARGEST_SAME or 0 < size < _SMALLEST_SAME]:
        part = parts[place]
        parts[place] = part.replace(part.strip(b"[]"), repr(numbers[place]).encode())
    return b",".join(parts)
