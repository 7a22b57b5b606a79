"""The ids that a request brings and its answer carries (Azure ML v1: headers)."""

from __future__ import annotations

import re
from uuid import uuid4

MAX_ID_CHARACTERS = 100
_UNSAFE = re.compile(rb"[\x00-\x1f\x7f-\x9f]")

RequestHeaders = list[tuple[bytes, bytes]]


class IdentifierError(ValueError):
    """An id header is too long or not printable; `headers` are those ids that may be answered all the same."""

    def __init__(self, message: str, headers: RequestHeaders) -> None:
        super().__init__(message)
        self.headers = headers


def answer_ids(request_id: bytes, legacy_id: bytes, client_id: bytes, trace_id: bytes) -> RequestHeaders:
    """Return the id headers of an answer; empty bytes stand for an absent header.

    `x-request-id` is made up when absent. `x-ms-request-id` (`legacy_id`) was both ids once: it stands in for an
    absent `x-ms-client-request-id`, and is itself filled from that or from `x-request-id`.
    Raises IdentifierError when an id has more than 100 characters.
    """
    if not (request_id or legacy_id or client_id or trace_id):
        generated = str(uuid4()).encode()
        return [(b"x-request-id", generated), (b"x-ms-request-id", generated)]
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
