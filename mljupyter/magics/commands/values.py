"""Request data on a magic's line: JSON, a variable or expression, or @FILE."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mljupyter.core.batch.sources import SUFFIXES
from mljupyter.engine.requests.encoder import EncodingError, is_table, request_text
from mljupyter.files import expanded
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
    return json_body(data_of(text, namespace), text)


def data_of(text: str, namespace: Mapping[str, Any]) -> Any:
    """Return what a word on the line stands for: the text of JSON or of a file, or the value of an expression.

    Raises:
        WrongInputError: a name is unknown, or the file cannot be read.

    """
    if text.startswith("@"):
        return _file_body(expanded(text[1:]))
    if _is_json(text):
        return text
    try:
        return value_of(text, namespace)
    except WrongInputError as error:
        if is_expression(text):
            raise
        raise WrongInputError(f"{error.message}\n{_KINDS}") from None


def rows_in(text: str, namespace: Mapping[str, Any]) -> Any:
    """Return the rows that a word on the line stands for: a table, a list, or the path of a file or directory.

    Raises:
        WrongInputError: it has no rows.

    """
    if text.startswith("@") and is_file_of_rows(text):
        return str(expanded(text[1:]))
    found = data_of(text, namespace)
    try:
        value = json.loads(found) if isinstance(found, str) else found
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, Mapping) and list(value) == ["data"]:
        value = value["data"]
    if is_table(value) or isinstance(value, list):
        return value
    raise WrongInputError(
        f"{_cut(text)} has no rows that can be sent in parts.\n"
        'Give a DataFrame, an array, a list of rows, {"data": rows}, or @path of a CSV or Parquet file or a directory.'
    )


def is_file_of_rows(text: str) -> bool:
    """Return whether a word is ``@path`` of a directory, or of a file whose rows are sent in parts."""
    path = expanded(text[1:])
    return text.startswith("@") and (path.suffix in SUFFIXES or path.is_dir())


def json_body(value: Any, name: str, *, by_name: bool = False) -> str:
    """Return a Python value as the text of a request; `name` is its name in errors; `by_name` as for `request_text`.

    Raises:
        WrongInputError: it has no exact form in JSON.

    """
    try:
        return request_text(value, by_name=by_name)
    except EncodingError as error:
        raise WrongInputError(
            f"{name} cannot be written as JSON: {error.message}.\nConvert it to numbers, strings, lists or dicts first."
        ) from None


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


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
