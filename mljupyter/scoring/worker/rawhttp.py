"""Whether the script asked for the request itself (`@rawhttp`), and how to make it one."""

from __future__ import annotations

import sys
from typing import Any

_HOMES = (
    "mljupyter.scoring.shims.aml_request",
    "azureml.contrib.services.aml_request",
    "azureml_inference_server_http.api.aml_request",
)
"""Ours first; the other two matter when the real packages are installed, whose decorators set the same flag."""


def requested() -> bool:
    """Return whether `@rawhttp` of any home has decorated a function."""
    return any(getattr(sys.modules.get(home), "_rawHttpRequested", False) for home in _HOMES)


def request(call: dict[str, Any], body: bytes) -> Any:
    """Return the request object for `run()`."""
    from mljupyter.scoring.shims.aml_request import make_request

    return make_request(call, body)
