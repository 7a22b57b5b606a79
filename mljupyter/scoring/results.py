"""From what `run()` returned to the bytes of the answer."""

from __future__ import annotations

import json
from typing import Any

_encode = json.JSONEncoder(separators=(",", ":")).encode


class ResultError(Exception):
    """The result of `run()` cannot be sent; the text names the type that is in the way."""


def encode_result(result: Any) -> bytes:
    """Return the JSON of a result; None becomes `{}` (Azure ML v1: scoring-container contract).

    Types that JSON does not know, NumPy arrays among them, are not converted silently: ResultError names them.
    """
    if result is None:
        return b"{}"
    try:
        return _encode(result).encode("ascii")
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ResultError(
            f"run() returned a {type(result).__name__} that cannot become JSON: {error}. "
            "Return str, numbers, lists and dicts; convert NumPy values with .tolist()."
        ) from error


def encode_message(message: str) -> bytes:
    """Return the JSON body that every error answer has."""
    return _encode({"message": message}).encode("ascii")
