"""Data of commands in files: arguments as text, ``@FILE`` or ``-`` for standard input, and files of ids."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from mljupyter.exceptions import UserErrorException
from mljupyter.files import expanded, write_whole

_SHARED = 0o666  # the files hold no secret; the umask still applies


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
        return expanded(data[1:]).read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{data[1:]}: {error.strerror}", param_hint=hint) from None


def writable_file(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """Return the path of ``--output-metadata-file``, or end the command before it does anything.

    Parameters:
        ctx, param: those of click.
        path: the path that is given; None without the option.

    Raises:
        click.BadParameter: no file can be written there.

    """
    if path is None:
        return None
    file = expanded(path)
    problem = "it is a directory" if file.is_dir() else ""
    if not file.parent.is_dir():
        problem = f"there is no directory {str(file.parent)!r}"
    elif not os.access(file if file.is_file() else file.parent, os.W_OK):
        problem = "it cannot be written"
    if problem:
        raise click.BadParameter(f"{path!r}: {problem}. Nothing was done.", ctx=ctx, param=param)
    return path


def write_metadata(path: str, document: Mapping[str, Any]) -> None:
    """Write the ids of a result into a file, for ``--output-metadata-file``.

    Parameters:
        path: the file; it is replaced.
        document: the ids.

    Raises:
        UserErrorException: the file cannot be written.

    """
    try:
        write_whole(expanded(path), json.dumps(document, indent=2) + "\n", mode=_SHARED)
    except OSError as error:
        raise UserErrorException(f"{path!r} cannot be written: {error.strerror}.") from None
