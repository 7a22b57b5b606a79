"""Values of a form, and the line of a magic that is equivalent to them."""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from mljupyter.notebook.options.expression_text import expression_word
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import read
from mljupyter.visible import one_line

Typed = Mapping[str, Any]
"""Values by option, as typed: text, a list of texts for a repeatable option, or a boolean."""


def values_of(options: Iterable[Option], typed: Typed) -> tuple[dict[str, Any], dict[str, str]]:
    """Return values and errors, by option.

    Parameters:
        options: all options; an option that was not typed has its default.
        typed: the typed values; empty text counts as missing.

    Example:
        >>> values_of([Option("replicas", "how many", kind="integer")], {"replicas": "two"})
        ({}, {'replicas': "'two' is not a whole number"})
        >>> values_of([Option("preload", "run init() once", kind="switch")], {})
        ({'preload': None}, {})

    """
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for option in options:
        given = typed.get(option.key)
        if not option.takes_value:
            is_open = given is None and option.kind == "switch" and option.default is None  # decided elsewhere
            values[option.key] = None if is_open else bool(option.default if given is None else given)
            continue
        texts = _texts(given)
        if any(one_line(text) != text for text in texts):
            errors[option.key] = "It holds a line end or another control character, which no line can hold"
            continue
        try:
            found = [read(option, text) for text in texts]
        except ValueError as error:
            errors[option.key] = str(error)
            continue
        if not found and option.required:
            errors[option.key] = f"{option.help[:1].upper()}{option.help[1:]}: it is needed"
        elif option.repeatable:
            values[option.key] = found
        else:
            values[option.key] = found[0] if found else _default(option)
    return values, errors


def line_of(name: str, options: Sequence[Option], typed: Typed, explicit: Container[str] = ()) -> str:
    """Return the line of a magic without defaults, except for the options in `explicit`, by key.

    Example:
        >>> line_of("deploy", [Option("replicas", "how many", kind="integer")], {"replicas": "2"})
        '%deploy --replicas 2'

    """
    words = [f"%{name}"]
    for option in sorted(options, key=lambda option: not option.positional):
        given = typed.get(option.key)
        if not option.takes_value:
            if given is not None and (bool(given) != bool(option.default) or option.key in explicit):
                words.append(f"--{option.name}" if given else f"--no-{option.name}")
            continue
        for text in _texts(given):
            if option.positional:
                words.append(_word(option, text))
            elif option.default is None or text != str(option.default) or option.key in explicit:
                # A value that begins like an option is joined to its name, or it would be read as an option.
                word = _word(option, text)
                words += [f"--{option.name}={word}"] if text.startswith("-") else [f"--{option.name}", word]
    return " ".join(words)


def _word(option: Option, text: str) -> str:
    """Return a value as a word of a line."""
    plain = expression_word(text) if option.expression else None
    return quoted(text) if plain is None else plain


def quoted(text: str) -> str:
    """Return a word of a line, quoted if needed. A line end becomes an escape.

    Example:
        >>> print(quoted("a b"), quoted("x\\nimport os"))
        'a b' 'x\\nimport os'

    """
    return shlex.quote(one_line(text))


def typed_of(value: Any) -> Any:
    """Return a value of an option as a user would type it: text, a list of texts, or a boolean.

    Example:
        >>> typed_of((1, 5)), typed_of(["a:1"]), typed_of(2), typed_of(True)
        ('1:5', ['a:1'], '2', True)

    """
    if isinstance(value, bool):
        return value
    if isinstance(value, list):
        return [str(item) for item in value]
    return ":".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _texts(given: Any) -> list[str]:
    listed = given if isinstance(given, (list, tuple)) else [given]
    return [text for item in listed if item is not None and (text := str(item).strip())]


def _default(option: Option) -> Any:
    return read(option, option.default) if isinstance(option.default, str) else option.default
