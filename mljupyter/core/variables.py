"""Environment variables from a file, so that secrets are neither in a notebook nor in code."""

from __future__ import annotations

import os
import re

from mljupyter.exceptions import UserErrorException
from mljupyter.files import expanded

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTES = "\"'"
_MOST_BYTES = 1_000_000


def variables_in(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the variables in a file with lines ``NAME=VALUE``.

    Empty lines, comments that begin with ``#`` and a leading ``export`` are ignored; quotes around a value are removed.
    Nothing is expanded.

    Parameters:
        path: the file.

    Raises:
        UserErrorException: the file cannot be read, or a line has another form; its text is not shown.

    Example:
        >>> environment.environment_variables |= variables_in("serving.env")                     # doctest: +SKIP

    """
    file = expanded(path)
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise UserErrorException(f"{path} has more than {_MOST_BYTES} bytes: it is not a file of variables.")
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UserErrorException(f"{path} cannot be read: {reason}.") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not _NAME.fullmatch(name.strip()):
            raise UserErrorException(f"{path}, line {number}: this is not NAME=VALUE.")
        found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] in _QUOTES and value[-1] == value[0]
    return value[1:-1] if quoted else value
