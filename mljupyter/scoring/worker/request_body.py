"""The conversion of a request into the arguments of `run()` (Azure ML v1: input modes)."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from mljupyter.scoring.columns import kind_of
from mljupyter.scoring.messages import is_json

MISSING: Any = object()
"""The default of a parameter that has none."""

MAX_QUERY_PARAMETERS = 10_000
_RAWHTTP_MODULES = (
    "mljupyter.scoring.shims.aml_request",
    "azureml.contrib.services.aml_request",
    "azureml_inference_server_http.api.aml_request",
)
"""The modules that define `@rawhttp`: ours, and the two real ones, whose decorators set the same flag."""


class InputError(ValueError):
    """The request does not fit `run()`; `status` is 400 or 415."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def text_of(call: dict[str, Any], body: bytes) -> str:
    """Return the body as text, or the query of a GET request as a JSON object; raise InputError if it is not UTF-8."""
    if call.get("method") == "GET":
        return json.dumps(query_values(call["query"]))
    try:
        return str(body, "utf-8")
    except UnicodeDecodeError as error:
        message = f"the request body is not UTF-8 text: {error.reason} at byte {error.start}"
        raise InputError(400, message) from None


def parameters_of(call: dict[str, Any], body: bytes, parameters: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return a value for each of `parameters`, which are pairs of name and default (or MISSING).

    Raises InputError: 415 when the body is not announced as JSON, 400 when it is not a JSON object or lacks a value.
    """
    if call.get("method") == "GET":
        values = query_values(call["query"])
    else:
        if "headers" in call and not is_json(call["headers"].get("Content-Type", "")):
            raise InputError(415, "run() takes named parameters: send JSON with Content-Type: application/json")
        values = _object_of(body)
    arguments = {}
    for name, default in parameters:
        value = values.get(name, default)
        if value is MISSING:
            raise InputError(400, f"the request has no value for the parameter {name!r}")
        arguments[name] = value
    return arguments


def wants_raw_request() -> bool:
    """Return whether `@rawhttp` has decorated a function."""
    return any(getattr(sys.modules.get(module), "_rawHttpRequested", False) for module in _RAWHTTP_MODULES)


def raw_request(call: dict[str, Any], body: bytes) -> Any:
    """Return the request object for a `run()` that is decorated with `@rawhttp`."""
    from mljupyter.scoring.shims.aml_request import (
        make_request,  # only replicas whose script asks for it pay the import
    )

    return make_request(call, body)


def query_values(query: str) -> dict[str, Any]:
    """Return the parameters of a query; repeated ones become lists.

    Values are decoded as JSON where possible: ``a=1&a=x&b=[2]`` is ``{"a": [1, "x"], "b": [2]}``.
    """
    from urllib.parse import parse_qs

    try:
        found = parse_qs(query, keep_blank_values=True, max_num_fields=MAX_QUERY_PARAMETERS)
    except ValueError:
        raise InputError(400, f"the query has more than {MAX_QUERY_PARAMETERS} parameters") from None
    values = {name: [_json_or_text(value) for value in texts] for name, texts in found.items()}
    return {name: some[0] if len(some) == 1 else some for name, some in values.items()}


def _object_of(body: bytes) -> dict[str, Any]:
    if not body:
        raise InputError(400, "the request body is empty; send a JSON object with the parameters of run()")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(400, f"the request body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(400, f"the request body is {kind_of(value)}; send an object with the parameters of run()")
    return value


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
