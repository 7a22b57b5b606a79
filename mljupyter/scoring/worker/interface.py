"""What a worker tells its front about the scoring script: how `run()` takes its input, and its schema."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

TEXT: Final = "text"
"""`run()` gets the body as a str."""
PARAMETERS: Final = "parameters"
"""`run()` gets the members of a JSON object by name."""
REQUEST: Final = "request"
"""`run()` gets the request itself (`@rawhttp`)."""

ALL_VERSIONS: Final = ("2.0", "3.0", "3.1")


class Interface(NamedTuple):
    """The description of a script.

    `needs_head` says whether calls must carry the request's headers; `batchable` is the parameter whose rows may be
    put together with those of other requests; `versions` are the OpenAPI versions the schemas can be written in.
    """

    mode: str
    needs_head: bool
    batchable: str | None = None
    versions: tuple[str, ...] = ALL_VERSIONS
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None

    def to_json(self) -> bytes:
        """Return the description as the worker sends it."""
        return json.dumps(self._asdict(), default=str).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Interface:
        """Return the description that a worker has sent."""
        fields = json.loads(data)
        return cls(**{**fields, "versions": tuple(fields["versions"])})
