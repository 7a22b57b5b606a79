"""The conversion of the result of `run()` into an answer: status, headers, bytes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import GeneratorType
from typing import Any, Literal, NamedTuple, overload

from mljupyter.scoring.protocol import Headers, pack_headers
from mljupyter.scoring.worker.fast_results import compact

_encode = json.JSONEncoder(separators=(",", ":")).encode
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNSAFE_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NO_BODY = (204, 205, 304)
_FAILED_HEADER = "x-ms-run-function-failed"
_OURS = frozenset(
    (
        *("connection", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade"),
        *("x-request-id", "x-ms-request-id", "x-ms-client-request-id", "x-ms-server-version"),
        *(_FAILED_HEADER, "x-ms-run-fn-exec-ms"),
    )
)
"""Headers that the server sets itself; a script cannot set them."""


class ResultError(Exception):
    """The result of `run()` cannot be sent; the message names the type that causes it."""


class Result(NamedTuple):
    """An encoded result; `headers` as in `protocol.pack_headers`, empty for plain JSON."""

    status: int
    body: bytes
    headers: bytes
    run_failed: bool


class StreamedResult(NamedTuple):
    """An encoded result whose body comes in pieces."""

    status: int
    body: Iterator[bytes]
    headers: bytes
    run_failed: bool


@overload
def encode(result: Any, in_pieces: Literal[False] = False) -> Result: ...
@overload
def encode(result: Any, in_pieces: bool) -> Result | StreamedResult: ...
def encode(result: Any, in_pieces: bool = False) -> Result | StreamedResult:
    """Return what to send for the result of `run()`.

    A response object (`AMLResponse`, or any with `status_code`, `headers` and `get_data()`, as Flask's) determines
    the whole answer; everything else is encoded as JSON, what a generator yields as a list. Raises ResultError when
    that is impossible. With `in_pieces`, the body of a response that is streamed is an iterator.
    """
    if hasattr(result, "get_data") and hasattr(result, "status_code") and hasattr(result, "headers"):
        return _encode_response(result, in_pieces)
    if type(result) is GeneratorType:
        result = list(result)
    return Result(200, encode_result(result), b"", False)


def encode_result(result: Any) -> bytes:
    """Return the JSON of a result; None becomes `{}` (Azure ML v1: scoring-container contract).

    NaN and infinities become the tokens `NaN`, `Infinity` and `-Infinity`. Types without a JSON form, such as NumPy
    arrays, raise ResultError.
    """
    if result is None:
        return b"{}"
    try:
        encoded = compact(result)
        if encoded is not None:
            return encoded
        return _encode(result).encode("ascii")
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ResultError(
            f"run() returned a {type(result).__name__} that cannot become JSON: {error}. "
            "Return str, numbers, lists and dicts; convert NumPy values with .tolist()."
        ) from error


def _encode_response(response: Any, in_pieces: bool) -> Result | StreamedResult:
    status = response.status_code
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise ResultError(f"run() returned a response with the status {status!r}; use one from 200 to 599")
    headers: Headers = []
    failed = status >= 500
    for name, value in response.headers.items():
        lower = str(name).lower()
        if lower == _FAILED_HEADER:
            failed = failed or str(value).lower() == "true"
        elif lower not in _OURS and not lower.startswith("x-mlj-"):
            headers.append(_header(lower, str(value)))
    packed = pack_headers(headers or [(b"content-type", b"text/html; charset=utf-8")])
    if status in _NO_BODY:
        return Result(status, b"", packed, failed)
    if in_pieces and getattr(response, "is_streamed", False) and hasattr(response, "iter_encoded"):
        return StreamedResult(status, iter(response.iter_encoded()), packed, failed)
    return Result(status, bytes(response.get_data()), packed, failed)


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    if not _TOKEN.fullmatch(name) or _UNSAFE_VALUE.search(value):
        raise ResultError(f"run() returned a response with the header {name!r}: {value[:100]!r}, which HTTP forbids")
    try:
        return name.encode("ascii"), value.strip().encode("latin-1")
    except UnicodeEncodeError:
        raise ResultError(f"the header {name!r} holds characters beyond Latin-1: {value[:100]!r}") from None
