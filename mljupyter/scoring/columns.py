"""Words of messages to clients: names of columns, missing and unknown ones with the nearest known one, in bounded text.

The names in a request come from a client, and a model may have thousands of columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

MOST_NAMES = 10
_MOST_LISTED = 20
_MOST_UNKNOWN = 5
_MOST_TEXT = 60
_MOST_COMPARED = 300
_RATIO = 0.6


def kind_of(value: Any) -> str:
    """Return what a value is in JSON.

    Example:
        >>> kind_of([1])
        'a list'

    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    words = ((dict, "an object"), (list, "a list"), (str, "a string"))
    return next((word for kind, word in words if isinstance(value, kind)), "a number")


def names_text(names: Iterable[Any], most: int = _MOST_LISTED) -> str:
    """Return names as text: the first ones, and the number of the others.

    Example:
        >>> names_text(["a", "b", "c"], most=2)
        'a, b and 1 more'

    """
    some = list(names)
    text = ", ".join(_cut(name) for name in some[:most])
    return f"{text} and {len(some) - most} more" if len(some) > most else text


def columns_text(names: Sequence[Any]) -> str:
    """Return the columns of a model as text; of many only the number and the first ones.

    Example:
        >>> columns_text(["age", "sex"]), columns_text([f"c{n}" for n in range(30)])
        ('the columns age, sex', 'the 30 columns c0, c1, c2 and 27 more')

    """
    if len(names) > MOST_NAMES:
        return f"the {len(names)} columns {names_text(names, most=3)}"
    return f"the column{'' if len(names) == 1 else 's'} {names_text(names)}"


def missing_text(row: Iterable[Any], needed: Sequence[str], known: Sequence[str]) -> str:
    """Return which columns a row lacks, and which unknown ones it has instead, each with the nearest missing one.

    Parameters:
        row: the names of the columns of the row.
        needed: the columns that the model needs; some of them are not in the row.
        known: all columns that the model knows.

    Example:
        >>> missing_text(["Age", "bmi"], ["age", "sex"], ["age", "sex", "bmi"])
        'lacks the columns age, sex, and has the unknown column Age (did you mean age?): it needs the columns age, sex'

    """
    given = list(row)
    present, accepted = set(given), set(known)
    missing = [name for name in needed if name not in present]
    text = f"lacks the column{'' if len(missing) == 1 else 's'} {names_text(missing)}"
    unknown = [name for name in given if name not in accepted]
    if unknown:
        text += f", and has {unknown_text(unknown, missing)}"
    return f"{text}: it needs {columns_text(needed)}"


def unknown_text(unknown: Sequence[Any], near: Sequence[str]) -> str:
    """Return unknown columns as text, the first ones with the nearest one of other names.

    Example:
        >>> unknown_text(["bmii", "z"], ["bmi"])
        'the unknown columns bmii (did you mean bmi?), z'

    """
    import difflib  # takes 2 ms to import; only a wrong request needs it

    spelled = {_key(name): name for name in reversed(near[:_MOST_COMPARED])}
    parts = []
    for name in unknown[:_MOST_UNKNOWN]:
        found = difflib.get_close_matches(_key(name), list(spelled), 1, _RATIO)
        parts.append(_cut(name) + (f" (did you mean {_cut(spelled[found[0]])}?)" if found else ""))
    more = len(unknown) - len(parts)
    text = ", ".join(parts) + (f" and {more} more" if more else "")
    return f"the unknown column{'' if len(unknown) == 1 else 's'} {text}"


def _key(name: Any) -> str:
    return str(name)[:_MOST_TEXT].strip().casefold()


def _cut(name: Any) -> str:
    """Return a name for a message, in quotes if it could not be told from its neighbours otherwise."""
    text = str(name)
    text = text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
    return text if text.strip() == text and text.isprintable() and text and "," not in text else repr(text)
