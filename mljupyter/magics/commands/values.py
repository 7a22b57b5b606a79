"""Request data on a magic's line: JSON, a variable or expression, or @FILE."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mljupyter.engine.requests.encoder import EncodingError, request_text
from mljupyter.notebook.options.expression_text import is_expression
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.sources.expressions import value_of

_KINDS = "Data is JSON, a variable or a Python expression of variables, or @path for a file."
MOST_BYTES = 100 * 1024 * 1024  # the limit of a service for request bodies


def body_of(text: str, namespace: Mapping[str, Any]) -> str:
    """Return the request body for a word on the line, as JSON text.

    The word is JSON text, ``@path`` for the content of a file, or a variable or an expression of variables
    (``X_test[:2]``). A table becomes ``{"data": rows}``; a string is sent unchanged. See `mljupyter.engine.requests`.

    Raises:
        WrongInputError: the name is unknown (the message has the nearest one), or the value cannot be JSON.

    Example:
        >>> body_of("rows", {"rows": {"data": [[1, 2]]}})
        '{"data": [[1, 2]]}'

    """
    if text.startswith("@"):
        return _file_body(Path(text[1:]).expanduser())
    if _is_json(text):
        return text
    try:
        value = value_of(text, namespace)
    except WrongInputError as error:
        if is_expression(text):
            raise
        raise WrongInputError(f"{error.message}\n{_KINDS}") from None
    return json_body(value, text)


def json_body(value: Any, name: str) -> str:
    """Return a Python value as the text of a request; `name` is its name in errors.

    Raises:
        WrongInputError: it has no exact form in JSON.

    """
    try:
        return request_text(value)
    except EncodingError as error:
        raise WrongInputError(
            f"{name} cannot be written as JSON: {error.message}.\nConvert it to numbers, strings, lists or dicts first."
        ) from None


def _is_json(text: str) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return not (isinstance(value, float) and not math.isfinite(value))


def _file_body(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise WrongInputError(f"@{path} has {size} bytes; a request has at most {MOST_BYTES}.")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise WrongInputError(f"@{path} is not UTF-8 text: send text or JSON.") from None
    except OSError as error:
        raise WrongInputError(f"@{path} cannot be read: {error.strerror}.") from None
