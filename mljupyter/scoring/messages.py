"""The contents of the messages between client, server and worker that are not plain bytes.

Server and worker both import this module, and import nothing of each other.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from mljupyter.scoring.protocol import Headers

TEXT: Final = "text"
"""`run()` gets the body as a str."""
PARAMETERS: Final = "parameters"
"""`run()` gets the members of a JSON object by name."""
REQUEST: Final = "request"
"""`run()` gets the request itself (`@rawhttp`)."""

ALL_VERSIONS: Final = ("2.0", "3.0", "3.1")

INFERENCE: Final = "mlj.inference"
_INFERENCE_BEGINS = b'{"mlj.inference"'
_PRIVATE_PREFIX = b"x-mlj-"
_encode = json.JSONEncoder(separators=(",", ":")).encode
_CODES = {
    400: "BadRequest",
    401: "Unauthorized",
    404: "NotFound",
    405: "MethodNotAllowed",
    408: "RequestTimeout",
    413: "PayloadTooLarge",
    415: "UnsupportedMediaType",
    431: "HeadersTooLarge",
    500: "ScriptFailed",
    502: "WorkerFailed",
    503: "ReplicaBusy",
    504: "ScoringTimeout",
}


class Interface(NamedTuple):
    """The description of a scoring script that its worker sends to the server: how `run()` takes its input.

    `needs_head` says whether calls must carry the request's headers; `batchable` is the parameter whose rows can be
    joined with those of other requests; `versions` are the OpenAPI versions the schemas can be written in; `tensors` is
    the metadata of the Open Inference Protocol, or its member `reason` says why there is none.
    """

    mode: str
    needs_head: bool
    batchable: str | None = None
    versions: tuple[str, ...] = ALL_VERSIONS
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    tensors: dict[str, Any] | None = None

    def to_json(self) -> bytes:
        """Return the description as JSON, the head of a READY frame."""
        return json.dumps(self._asdict(), default=str).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Interface:
        """Return the description that a worker has sent."""
        fields = json.loads(data)
        return cls(**{**fields, "versions": tuple(fields["versions"])})


def request_meta(
    method: str, query: bytes, headers: Headers, request_id: bytes, inference: dict[str, str] | None = None
) -> bytes:
    """Return method, query, headers and id of a request as JSON, with header names as WSGI spells them.

    A request of the Open Inference Protocol has the model and the version of its path as `inference`. They come first,
    so that `is_inference` need not read the JSON.
    """
    named: dict[str, str] = {}
    for raw_name, raw_value in headers:
        if not raw_name.startswith(_PRIVATE_PREFIX):
            name, value = raw_name.decode("latin-1").title(), raw_value.decode("latin-1")
            named[name] = f"{named[name]},{value}" if name in named else value
    head = {
        **({INFERENCE: inference} if inference is not None else {}),
        "method": method,
        "query": query.decode("latin-1"),
        "id": request_id.decode("latin-1"),
        "headers": named,
    }
    return json.dumps(head).encode()


def is_inference(head: bytes) -> bool:
    """Return whether the head of a call is that of a request of the Open Inference Protocol."""
    return head.startswith(_INFERENCE_BEGINS)


def request_id_meta(request_id: bytes) -> bytes:
    """Return the id of a request alone: enough to mark the log lines of a script with it."""
    return b'{"id": %b}' % json.dumps(request_id.decode("latin-1")).encode()


def encode_error(status: int, message: str, code: str | None = None) -> bytes:
    """Return the JSON body of an error answer: a message, and a code (by default that of the status)."""
    return _encode({"code": code or _CODES.get(status, "Error"), "message": message}).encode("ascii")


def is_json(content_type: str) -> bool:
    """Return whether a content type announces JSON: ``application/json``, ``application/problem+json``."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
