"""Headers of answers: request ids (Azure ML v1: headers), and cross-origin access (Azure ML v1: `AML_CORS_ORIGINS`)."""

from __future__ import annotations

import re
from uuid import uuid4

from mljupyter.scoring.protocol import Headers

MAX_ID_CHARACTERS = 100
_UNSAFE = re.compile(rb"[\x00-\x1f\x7f-\x9f]")
_FRAMING = (b"connection", b"content-length", b"transfer-encoding")  # the server's own: where an answer ends
_UNSAFE_NAME = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_UNSAFE_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_METHODS = ("GET", "POST")
_ANY = b"*"


class IdentifierError(ValueError):
    """An id header is too long or not printable; `headers` are the ids for the answer nevertheless."""

    def __init__(self, message: str, headers: Headers) -> None:
        super().__init__(message)
        self.headers = headers


def answer_ids(request_id: bytes, legacy_id: bytes, client_id: bytes, trace_id: bytes) -> Headers:
    """Return the id headers of an answer; empty bytes stand for an absent request header.

    An absent `x-request-id` is generated. `x-ms-request-id` (`legacy_id`) once meant both ids: it replaces an absent
    `x-ms-client-request-id`, and its own default is that one or `x-request-id`.
    Raises IdentifierError when an id has more than 100 characters or cannot be printed.
    """
    if not (request_id or legacy_id or client_id or trace_id):
        generated = str(uuid4()).encode()
        return [(b"x-request-id", generated), (b"x-ms-request-id", generated)]
    alone = not (legacy_id or client_id or trace_id)  # as nearly always from the router
    if alone and len(request_id) <= MAX_ID_CHARACTERS and not _UNSAFE.search(request_id):
        return [(b"x-request-id", request_id), (b"x-ms-request-id", request_id)]
    for name, value in (
        ("x-request-id", request_id),
        ("x-ms-request-id", legacy_id),
        ("x-ms-client-request-id", client_id),
    ):
        if len(value) > MAX_ID_CHARACTERS:
            fault = f"{name} has {len(value)} characters; at most {MAX_ID_CHARACTERS} are allowed"
        elif _UNSAFE.search(value):
            fault = f"{name} holds characters that cannot be printed"
        else:
            continue
        answered = [] if name == "x-request-id" else [(b"x-request-id", request_id or str(uuid4()).encode())]
        raise IdentifierError(fault, answered)
    request_id = request_id or str(uuid4()).encode()
    headers = [(b"x-request-id", request_id), (b"x-ms-request-id", legacy_id or client_id or request_id)]
    if client_id or legacy_id:
        headers.append((b"x-ms-client-request-id", client_id or legacy_id))
    if trace_id and not _UNSAFE.search(trace_id):
        headers.append((b"traceid", trace_id))
    return headers


def check_own(headers: Headers) -> Headers:
    """Return the headers of a script's answer, names in lower case; raise ValueError if one cannot be sent.

    The worker has checked them, but a script can write to its worker's socket itself.
    """
    for name, value in headers:
        if not name or _UNSAFE_NAME.search(name) or _UNSAFE_VALUE.search(value) or name.lower() in _FRAMING:
            raise ValueError(f"the header {name!r} of an answer cannot be sent")
    return [(name.lower(), value) for name, value in headers]


class CrossOrigin:
    """The origins from which browsers may send requests: a comma-separated list, ``*`` for all, empty for none."""

    def __init__(self, origins: str) -> None:
        self._origins = frozenset(origin.strip().encode() for origin in origins.split(",") if origin.strip())
        self.enabled = bool(self._origins)

    def headers(self, method: str, request: Headers) -> Headers:
        """Return the CORS headers of an answer; `request` are the request's headers, names in lower case."""
        sent = dict(request)
        origin = sent.get(b"origin")
        if _ANY in self._origins:
            allowed: Headers = [(b"access-control-allow-origin", _ANY)] if origin else []
        else:
            allowed = [(b"vary", b"Origin")]
            if origin in self._origins:
                allowed.append((b"access-control-allow-origin", origin))
        requested = sent.get(b"access-control-request-method", b"").decode("latin-1").upper()
        if method == "OPTIONS" and requested in _METHODS and (_ANY in self._origins or origin in self._origins):
            allowed.append((b"access-control-allow-methods", b", ".join(name.encode() for name in _METHODS)))
            names = sent.get(b"access-control-request-headers")
            if names:
                allowed.append((b"access-control-allow-headers", names))
        return allowed
