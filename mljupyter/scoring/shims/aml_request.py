"""`rawhttp` and `AMLRequest`, for scripts that take the HTTP request itself (Azure ML v1: scoring-container contract).

If Werkzeug is installed, the request is a Werkzeug request, as on the original server. Otherwise it is a `SmallRequest`
with the attributes that scripts use.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from typing import Any, TypeVar

__all__ = ["AMLRequest", "rawhttp"]  # noqa: F822 (created on first use, see __getattr__)

_rawHttpRequested = False  # noqa: N816 (the name in the real packages)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def rawhttp(function: _Function) -> _Function:
    """Declare that `run()` takes the request instead of its body."""
    global _rawHttpRequested
    _rawHttpRequested = True
    return function


def __getattr__(name: str) -> Any:
    if name == "AMLRequest":
        return _request_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def make_request(call: dict[str, Any], body: bytes) -> Any:
    """Return the request for the metadata and body that the server has sent."""
    return _request_class()(_environ(call, body))


@lru_cache(1)
def _request_class() -> Any:
    try:
        installed = find_spec("werkzeug") is not None
    except ValueError:
        installed = False
    if not installed:
        from mljupyter.scoring.shims.small_request import SmallRequest  # not needed with Werkzeug

        return SmallRequest
    from werkzeug.wrappers import Request  # type: ignore[import-not-found, unused-ignore]

    return type("AMLRequest", (Request,), {"__module__": "azureml.contrib.services.aml_request"})


def _environ(call: dict[str, Any], body: bytes) -> dict[str, Any]:
    """Return the WSGI environment of the request."""
    headers = call["headers"]
    host, _, port = headers.get("Host", "localhost").partition(":")
    environ = {
        "REQUEST_METHOD": call["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": "/score",
        "QUERY_STRING": call["query"],
        "SERVER_NAME": host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": headers.get("X-Forwarded-Proto", "http"),
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
    }
    if body or "Content-Length" in headers:  # a request without a body has no length, as on the original server
        environ["CONTENT_LENGTH"] = str(len(body))
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value
        elif key not in ("CONTENT_LENGTH", "TRANSFER_ENCODING"):
            environ[f"HTTP_{key}"] = value
    return environ
