"""The form of requests and answers of one server: how it wants the data of a workload, and how its answer is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

JSON = "application/json"
BYTES = "application/octet-stream"


class Form(StrEnum):
    """The kinds of data that models take and give."""

    ROWS = "rows"
    """Rows of numbers, answered with a number for each."""
    RECORDS = "records"
    """Rows of named columns, of which the model gets a DataFrame, answered with a number for each."""
    IMAGE = "image"
    """The bytes of a file, answered with one number."""
    STREAM = "stream"
    """Rows of numbers, answered with a text that the model makes in parts, each a line that starts with its number."""


@dataclass(frozen=True)
class Request:
    """A request as it is sent."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Exchange:
    """How data goes to a server, and its answer comes back.

    Attributes:
        encode: from the data of a workload to the body of a request.
        decode: from the body of an answer to its numbers.
        content_type: of the request.
        headers: from the data to further headers of the request.
        route: path of the scoring URL, if it is not the server's usual one.

    """

    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    content_type: str = JSON
    headers: Callable[[Any], Mapping[str, str]] = lambda data: {}
    route: str | None = None

    def request(self, data: Any, key: str | None = None) -> Request:
        """Return the request for data, with a key if one is given."""
        headers = {"Content-Type": self.content_type, **self.headers(data)}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        return Request(self.encode(data), headers)


def document(name: str) -> Callable[[Any], bytes]:
    """Return an encoder: the data under a name in a JSON object."""
    return lambda data: json.dumps({name: data}).encode()


def numbers(*path: str | int) -> Callable[[bytes], Any]:
    """Return a decoder: the value at a path in a JSON document, by default the whole document."""

    def decode(body: bytes) -> Any:
        found = json.loads(body)
        for step in path:
            found = found[step]
        return found

    return decode


def lines(body: bytes) -> list[int]:
    """Decode a text in parts: the number at the start of each line."""
    return [int(line.split()[0]) for line in body.splitlines()]


def multipart(name: str, content_type: str = BYTES) -> tuple[Callable[[bytes], bytes], str]:
    """Return an encoder for the one file of a form, and the content type of such a request."""
    boundary = "benchmark-of-serving-7d3f"

    def encode(content: bytes) -> bytes:
        disposition = f'Content-Disposition: form-data; name="{name}"; filename="image"'
        head = f"--{boundary}\r\n{disposition}\r\nContent-Type: {content_type}\r\n\r\n"
        return head.encode() + content + f"\r\n--{boundary}--\r\n".encode()

    return encode, f"multipart/form-data; boundary={boundary}"
