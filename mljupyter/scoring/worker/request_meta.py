"""What the worker is told of a request beside its body."""

from __future__ import annotations

import json
from typing import Any

_PRIVATE_PREFIX = b"x-mlj-"


def id_head(request_id: bytes) -> bytes:
    """Return the id of a request alone: all that a script's log needs."""
    return b'{"id": %b}' % json.dumps(request_id.decode("latin-1")).encode()


def call_head(scope: dict[str, Any], request_id: bytes) -> bytes:
    """Return method, query, headers and id of an ASGI request, header names as WSGI writes them."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        if not raw_name.startswith(_PRIVATE_PREFIX):
            name, value = raw_name.decode("latin-1").title(), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    head = {
        "method": scope["method"],
        "query": scope["query_string"].decode("latin-1"),
        "id": request_id.decode("latin-1"),
        "headers": headers,
    }
    return json.dumps(head).encode()
