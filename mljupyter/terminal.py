"""Text of others on a terminal: characters that command it, or that hide what is written, are shown as escapes."""

from __future__ import annotations

import re
import sys
from typing import TextIO

# C0 but tab and newline, DEL, C1; marks and overrides of the writing direction; separators that end a line for some
# readers alone; halves of surrogate pairs, which cannot be written at all. A carriage return that ends a line hides
# nothing.
_COMMANDS = re.compile(
    "\r(?!\n)|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)


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


def for_stream(text: str, stream: TextIO | None = None) -> str:
    """Return text as `visible` does where `stream`, standard output by default, is a terminal; else as it is."""
    stream = sys.stdout if stream is None else stream
    return visible(text) if stream.isatty() else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
