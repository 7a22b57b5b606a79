"""JSON documents in requests to the controller: bounded, and refused with a reason."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from mljupyter.controller.errors import InvalidSpecError

_LARGEST_DOCUMENT = 8 * 1024 * 1024


async def document_of(request: Request) -> dict[str, Any]:
    """Return the JSON object in a request, an empty one for an empty body; raise `InvalidSpecError` for others."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_DOCUMENT:
            raise InvalidSpecError(f"the document is larger than {_LARGEST_DOCUMENT} bytes.")
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidSpecError(f"the document is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise InvalidSpecError(f"the document is a {type(document).__name__}: it must be an object.")
    return document
