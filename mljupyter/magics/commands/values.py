"""Request data on a magic's line: JSON, a variable or expression, or @FILE."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mljupyter.notebook.options.expression_text import is_expression
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.sources.expressions import value_of

_KINDS = "Data is JSON, a variable or a Python expression of variables, or @path for a file."
MOST_BYTES = 100 * 1024 * 1024  # the limit of a service for request bodies


def body_of(text: str, namespace: Mapping[str, Any]) -> str:
    """Return the request body for a word on the line, as JSON text.

    The word is JSON text, ``@path`` for the content of a file, or a variable or an expression of variables
    (``X_test[:2]``). A NumPy array, a DataFrame or a Series becomes ``{"data": rows}``; a string is sent unchanged.

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
    """Return a Python value as the JSON text of a request body; `name` is its name in errors."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise WrongInputError(f"{name} holds bytes that are not UTF-8 text: send text or JSON.") from None
    try:
        return json.dumps(_rows_of(value), allow_nan=False, default=_plain)
    except TypeError as error:
        raise WrongInputError(
            f"{name} cannot be written as JSON: {error}. Convert it to numbers, strings, lists or dicts first."
        ) from None
    except ValueError as error:
        if "not JSON compliant" not in str(error) and "circular" not in str(error).lower():
            raise
        raise WrongInputError(f"{name} holds NaN or infinity, which JSON does not have: replace them first.") from None


def _rows_of(value: Any) -> Any:
    """Wrap tables as scoring scripts for Azure ML v1 expect them: ``{"data": [[...], ...]}``."""
    kind = type(value).__module__.partition(".")[0]
    if kind == "pandas" and hasattr(value, "columns"):
        return {"data": value.to_numpy().tolist()}
    if kind == "pandas" and hasattr(value, "to_numpy"):
        return {"data": [value.to_numpy().tolist()]}
    if kind == "numpy" and getattr(value, "ndim", None):
        return {"data": value.tolist()}
    return value


def _plain(value: Any) -> Any:
    """Return a JSON value for NumPy values inside lists and dicts, and for dates."""
    for method in ("tolist", "isoformat"):
        convert = getattr(value, method, None)
        if callable(convert):
            return convert()
    raise TypeError(f"it contains a {type(value).__name__}")


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
