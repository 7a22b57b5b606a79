"""Read JSON documents from requests to the controller: their size is limited, and errors name the reason."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from mljupyter.client.errors import DocumentTooLargeError, InvalidSpecError
from mljupyter.outside import json_value
from mljupyter.spec.version import LARGEST_NUMBER

_LARGEST_DOCUMENT = 8 * 1024 * 1024
_PASSED_OVER = 8
_LARGEST_PEM = 65_536


async def document_of(request: Request, most_bytes: int = _LARGEST_DOCUMENT) -> dict[str, Any]:
    """Return the JSON object in a request, an empty one for an empty body.

    Parameters:
        request: the request. Bytes of its body above the limit are not stored.
        most_bytes: the size limit in bytes.

    Raises:
        DocumentTooLargeError: when it is larger.
        InvalidSpecError: when it is not a JSON object, or nested too deeply.

    """
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= most_bytes:
            body += chunk
        elif size > _LARGEST_DOCUMENT * _PASSED_OVER:
            break
    if size > most_bytes:  # the rest was read and discarded, since a client that still sends does not read the answer
        raise DocumentTooLargeError(f"the document is larger than {most_bytes} bytes.")
    try:
        document = json_value(bytes(body) or b"{}")
    except ValueError as error:
        raise InvalidSpecError(f"the document is not JSON: {error}.") from None
    if not isinstance(document, dict):
        raise InvalidSpecError(f"the document is a {type(document).__name__}: it must be an object.")
    return document


def whole_member(document: dict[str, Any], name: str) -> int | None:
    """Return an integer of a document, None where it is null or missing.

    Raises:
        InvalidSpecError: when it is something else, or beyond what the database holds.

    """
    value = document.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_NUMBER):
        return value
    raise InvalidSpecError(f"{name} is {str(value)[:50]!r}: it must be a whole number from 0 to {LARGEST_NUMBER}.")


def text_member(document: dict[str, Any], name: str) -> str | None:
    """Return a string of a document, None where it is null or missing. Errors do not show it, since it may be a key.

    Raises:
        InvalidSpecError: when it is something else.

    """
    value = document.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidSpecError(f"{name} is a {type(value).__name__}: it must be a string.")


def certificate_member(document: dict[str, Any]) -> tuple[str, str] | None:
    """Return the certificate and the key of a document, None without them. Errors do not show them.

    Raises:
        InvalidSpecError: when they are something else, or too long.

    """
    given = document.get("certificate")
    if given is None:
        return None
    if not isinstance(given, dict):
        raise InvalidSpecError(f"certificate is a {type(given).__name__}: it must be an object.")
    chain, key = text_member(given, "chain"), text_member(given, "key")
    if chain is None or key is None or max(len(chain), len(key)) > _LARGEST_PEM or not (chain + key).isascii():
        raise InvalidSpecError(f"certificate must have chain and key: PEM texts of at most {_LARGEST_PEM} characters.")
    return chain, key
