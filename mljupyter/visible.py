"""Escape characters in foreign text that control a terminal or hide other text."""

from __future__ import annotations

import io
import re
import sys
from typing import Any, TextIO

# C0 except tab and newline, DEL, C1; marks and overrides of the writing direction; separators that only some readers
# take for line ends; lone surrogates, which cannot be encoded. A carriage return at the end of a line hides nothing.
_COMMANDS = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_MOST_SHOWN = 200


def visible(text: str) -> str:
    r"""Return text with control characters and marks of the writing direction replaced by escapes.

    Newlines, tabs and the letters of all scripts stay.

    Example:
        >>> print(visible("\x1b[31mred \u202e"))
        \x1b[31mred \u202e

    """
    return _COMMANDS.sub(_escape, text)


def one_line(text: str) -> str:
    r"""Return text like `visible`, on one line.

    Example:
        >>> print(one_line("a\nb"))
        a\nb

    """
    return visible(text).replace("\r", r"\r").replace("\n", r"\n")


def markup(text: str) -> str:
    r"""Return text like `visible`, escaped for HTML: for the content of an element or the value of an attribute.

    Example:
        >>> print(markup("<b>\x1b"))
        &lt;b&gt;\x1b

    """
    import html

    return html.escape(visible(text))


def lines_of(text: str) -> list[str]:
    r"""Return the lines of text, split only at line feeds: other characters do not split a line of a log.

    Example:
        >>> lines_of("a\rb\u2028c\nd\n")
        ['a\rb\u2028c', 'd']

    """
    return text.removesuffix("\n").split("\n") if text else []


def for_stream(text: str, stream: TextIO | None = None) -> str:
    """Return text like `visible` if `stream`, by default standard output, is a terminal; else unchanged."""
    stream = sys.stdout if stream is None else stream
    return visible(text) if stream.isatty() else text


def show_anything(*streams: Any) -> None:
    """Let text streams write characters that their encoding does not have as escapes, instead of an error.

    Example: Latin-1 and ASCII have no snowman, so it is written as ``\\u2603``.
    """
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def printable(text: str, stream: TextIO | None = None) -> str:
    """Return text like `visible`, with escapes for characters that `stream`, by default standard output, cannot write.

    Parameters:
        text: the text, which may be of any origin.
        stream: the stream that it is meant for.

    """
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None) or "utf-8"
    return visible(text).encode(encoding, "backslashreplace").decode(encoding)


def can_write(text: str, stream: TextIO | None = None) -> bool:
    """Return whether `stream`, by default standard output, can write all characters of the text."""
    encoding = getattr(sys.stdout if stream is None else stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def visible_json(text: str) -> str:
    r"""Return JSON text with the same characters replaced by JSON's own escapes. Its value stays the same.

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
