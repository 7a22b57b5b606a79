"""Values of options, read from text. Errors state the rule and the nearest known name."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mljupyter.durations import seconds_in
from mljupyter.errors import MLJupyterError
from mljupyter.files import expanded
from mljupyter.notebook.options.option import Option

_LONGEST_SECONDS = 1e9
_MOST_DIGITS = 18
_MOST_SHOWN = 100
_GIGABYTES = {"": 1.0, "G": 1.0, "GB": 1.0, "GI": 1.0, "M": 1e-3, "MB": 1e-3, "MI": 1 / 1024}


class WrongInputError(MLJupyterError):
    """A value of a cell or a form is invalid."""


def near(word: str, known: Iterable[str]) -> str:
    """Return a sentence with the nearest known name, or with the known names, or nothing.

    Example:
        >>> near("diabets", ["diabetes", "iris"])
        " Did you mean 'diabetes'?"

    """
    names = sorted(set(known))
    matches = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if matches:
        return f" Did you mean {matches[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:8])
    return f" Known: {shown}{', ...' if len(names) > 8 else ''}."


def read(option: Option, text: str) -> Any:
    """Return the value of a text.

    Raises:
        ValueError: it breaks a rule of the option; the message has the rule.

    Example:
        >>> read(Option("timeout", "longest time to wait", kind="duration"), "5m")
        300.0

    """
    if option.choices and text not in option.choices:
        raise ValueError(f"{text!r} is not one of {', '.join(option.choices)}")
    try:
        value = _READERS.get(option.kind, str)(text)
    except ValueError:
        shown = text.partition("=")[0] if option.kind == "assignment" else text  # a value may be secret
        raise ValueError(f"{shown[:_MOST_SHOWN]!r} is not {_RULES[option.kind]}") from None
    if option.minimum is not None and value < option.minimum:
        raise ValueError(f"{text} is below {option.minimum:g}, the least allowed")
    return value


def default_of(option: Option) -> Any:
    """Return the value of an option that is not given.

    Example:
        >>> default_of(Option("timeout", "longest time to wait", kind="duration", default="5m"))
        300.0

    """
    if option.repeatable:
        return []
    if option.kind == "flag":
        return False
    return read(option, option.default) if isinstance(option.default, str) else option.default


def source_directory(text: str | None) -> Path | None:
    """Return the directory of ``--source-directory``; None without.

    Raises:
        WrongInputError: there is no such directory.

    """
    if text is None:
        return None
    directory = expanded(text).resolve()
    if not directory.is_dir():
        raise WrongInputError(f"--source-directory {text}: there is no such directory.")
    return directory


def _scaled(text: str, factors: dict[str, float], fold: Callable[[str], str]) -> float:
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)([A-Za-z]*)", text)
    if match is None or fold(match[2]) not in factors:
        raise ValueError(text)
    return round(float(match[1]) * factors[fold(match[2])], 6)


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def _seconds(text: str) -> float:
    seconds = seconds_in(text)
    if seconds is None:
        seconds = _scaled(text, {"": 1.0}, str)  # a number alone is in seconds
    if seconds > _LONGEST_SECONDS:  # system timers have a maximum
        raise ValueError(text)
    return seconds


def _bounds(text: str) -> tuple[int, int]:
    least, _, most = text.partition(":")
    return _integer(least), _integer(most)


def _assignment(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(text)
    return text


def _label(text: str) -> str:
    name, equals, _ = text.partition("=")
    if not name or not equals:
        raise ValueError(text)
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "integer": _integer,
    "number": _number,
    "cores": lambda text: _scaled(text, {"": 1.0, "m": 1e-3}, str),
    "gigabytes": lambda text: _scaled(text, _GIGABYTES, str.upper),
    "duration": _seconds,
    "bounds": _bounds,
    "assignment": _assignment,
    "label": _label,
}
_RULES = {
    "text": "text",
    "integer": "a whole number",
    "number": "a number",
    "cores": "a number of cores, such as 0.5 or 500m",
    "gigabytes": "a size in gigabytes, such as 1.5 or 512Mi",
    "duration": "a duration, such as 30s, 5m or 1h",
    "bounds": "the least and the most, such as 1:5",
    "assignment": "of the form NAME=VALUE",
    "label": "of the form LABEL=VALUE",
}
