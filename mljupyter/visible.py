"""Escapes for characters in the text of others that command a terminal, or hide other text."""

from __future__ import annotations

import re
import sys
from typing import Any, TextIO

# C0 but tab and newline, DEL, C1; marks and overrides of the writing direction; separators that end a line for some
# readers alone; halves of surrogate pairs, which cannot be written at all. A carriage return that ends a line hides
# nothing.
_COMMANDS = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_MOST_SHOWN = 200


def visible(text: str) -> str:
    r"""Return text in which control characters and marks of the writing direction are written as escapes.

    Newlines and tabs stay, all letters of all scripts too.

    Example:
        >>> print(visible("\x1b[31mred \u202e"))
        \x1b[31mred \u202e

    """
    return _COMMANDS.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Return text as `visible` does, on one line.

    Example:
        >>> print(one_line("a\nb"))
        a\nb

    """
    return visible(text).replace("\r", r"\r").replace("\n", r"\n")


def markup(text: str) -> str:
    r"""Return text as `visible` does, for HTML: as the content of an element or the value of an attribute.

    Example:
        >>> print(markup("<b>\x1b"))
        &lt;b&gt;\x1b

    """
    import html

    return html.escape(visible(text))


def lines_of(text: str) -> list[str]:
    r"""Return the lines of text, cut at line feeds alone: nothing else in a line of a log makes it two.

    Example:
        >>> lines_of("a\rb\u2028c\nd\n")
        ['a\rb\u2028c', 'd']

    """
    return text.removesuffix("\n").split("\n") if text else []


def for_stream(text: str, stream: TextIO | None = None) -> str:
    """Return text as `visible` does where `stream`, standard output by default, is a terminal; else as it is."""
    stream = sys.stdout if stream is None else stream
    return visible(text) if stream.isatty() else text


def visible_json(text: str) -> str:
    r"""Return JSON text in which the same characters are written as JSON's own escapes: it stands for the same value.

    Example:
        >>> print(visible_json('"\x9b31m"'))
        "\u009b31m"

    """
    return _COMMANDS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def shown_value(value: Any) -> str:
    """Return a value as Python writes it, a long one cut: what comes from outside may have any size."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested deeply, or a number of more digits than Python writes
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
