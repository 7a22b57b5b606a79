"""Arguments of commands that hold data: text, ``@FILE``, or ``-`` for standard input."""

from __future__ import annotations

import sys
from pathlib import Path

import click


def body_of(data: str, hint: str = "DATA") -> str | bytes:
    """Return the data that an argument names: its text, the content of ``@FILE``, or standard input for ``-``.

    Parameters:
        data: the argument.
        hint: its name in errors.

    Raises:
        click.BadParameter: the file cannot be read.

    """
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data
    try:
        return Path(data[1:]).expanduser().read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{data[1:]}: {error.strerror}", param_hint=hint) from None
