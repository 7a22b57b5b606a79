"""`AMLResponse`: an answer whose status, headers and body the script sets (Azure ML v1: scoring-container contract)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mljupyter.scoring.shims.headers import Headers

__all__ = ["AMLResponse"]

_JSON = "application/json"
_HTML = "text/html; charset=utf-8"


class AMLResponse:
    """A response with a status, headers and a body of bytes.

    Parameters:
        message: the body: str, bytes, or an iterable of them; None stands for an empty JSON object. The pieces of an
            iterator, such as a generator, are sent one by one, each as soon as it is there.
        status_code: the HTTP status, a number or text such as ``202 Accepted``.
        response_headers: further headers; a value with commas is split into one header for each part.
        json_str: encode `message` as JSON.
        run_function_failed: report a failed `run()` in the headers; a status of 500 or more always does.

    Raises TypeError when the message cannot be sent.

    """

    def __init__(
        self,
        message: Any,
        status_code: int | str,
        response_headers: Mapping[str, str] = {},
        json_str: bool = False,
        run_function_failed: bool = False,
    ) -> None:
        as_json = json_str or message is None
        self.status_code = _number_of(status_code)
        self.headers = Headers()
        self.headers["Content-Type"] = _JSON if as_json else _HTML
        self.headers["x-ms-run-function-failed"] = run_function_failed
        self._pieces: Iterator[Any] | None = None
        self._body = b""
        if as_json:
            self._body = json.dumps({} if message is None else message).encode()
        elif isinstance(message, Iterator):
            self._pieces = message
        else:
            self._body = _bytes_of(message)
        if not as_json and "Content-Type" in response_headers:
            self.headers.remove("Content-Type")
        for name, value in response_headers.items():
            if name.lower() == "content-type":
                self.headers.remove(name)
            for part in str(value).split(","):
                self.headers.add(name, part.strip())

    def get_data(self, as_text: bool = False) -> Any:
        """Return the body; all pieces of an iterator, which is not sent in pieces then."""
        if self._pieces is not None:
            self._body, self._pieces = _bytes_of(self._pieces), None
        return self._body.decode() if as_text else self._body

    def set_data(self, value: str | bytes) -> None:
        """Replace the body."""
        self._body, self._pieces = _bytes_of(value), None

    data = property(get_data, set_data, doc="The body as bytes.")

    @property
    def is_streamed(self) -> bool:
        """True if the body is an iterator whose pieces are sent one by one."""
        return self._pieces is not None

    def iter_encoded(self) -> Iterator[bytes]:
        """Yield the pieces of the body as bytes."""
        pieces = self._pieces if self._pieces is not None else iter((self._body,))
        try:
            for piece in pieces:
                if not isinstance(piece, (str, bytes, bytearray, memoryview)):
                    raise TypeError(f"AMLResponse cannot send a {type(piece).__name__}; yield str or bytes")
                yield _bytes_of(piece)
        finally:
            getattr(pieces, "close", lambda: None)()

    @property
    def content_type(self) -> str | None:
        """The value of the header `Content-Type`."""
        value: str | None = self.headers.get("Content-Type")
        return value

    @content_type.setter
    def content_type(self, value: str) -> None:
        self.headers["Content-Type"] = value

    mimetype = content_type


def _number_of(status: int | str) -> int:
    return int(status.split(None, 1)[0]) if isinstance(status, str) else status


def _bytes_of(message: Any) -> bytes:
    if isinstance(message, str):
        return message.encode()
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    if isinstance(message, Iterable) and not isinstance(message, Mapping):
        pieces = list(message)
        if all(isinstance(piece, str | bytes | bytearray | memoryview) for piece in pieces):
            return b"".join(_bytes_of(piece) for piece in pieces)
    raise TypeError(
        f"AMLResponse cannot send a {type(message).__name__}; give it str or bytes, or json_str=True to send JSON"
    )
