"""The request object of `@rawhttp` scripts, used if Werkzeug is not installed."""

from __future__ import annotations

import json
from functools import cached_property
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from mljupyter.scoring.shims.headers import Headers

_MAX_FIELDS = 10_000


class Fields(Headers):
    """The values of a query or form; names are case-sensitive."""

    def getlist(self, name: str) -> list[str]:
        """Return all values of a name."""
        return [value for key, value in self._pairs if key == name]

    def to_dict(self, flat: bool = True) -> dict[str, Any]:
        """Return the first value of each name, or all of them as lists."""
        return {name: self.getlist(name)[0] if flat else self.getlist(name) for name in self.keys()}


class SmallRequest:
    """One read-only request. `environ` is its WSGI environment."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        self.path: str = environ["PATH_INFO"]
        self.query_string: bytes = environ["QUERY_STRING"].encode("latin-1")
        self.host: str = environ.get("HTTP_HOST", environ["SERVER_NAME"])
        self.scheme: str = environ["wsgi.url_scheme"]
        self.remote_addr: str = environ["REMOTE_ADDR"]
        self._data: bytes = environ["wsgi.input"].read()
        self.stream = BytesIO(self._data)

    @cached_property
    def headers(self) -> Headers:
        """The headers, names as in `Content-Type`."""
        pairs = [(key[5:], value) for key, value in self.environ.items() if key.startswith("HTTP_")]
        pairs += [(key, self.environ[key]) for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if key in self.environ]
        return Headers((name.replace("_", "-").title(), value) for name, value in pairs)

    @cached_property
    def args(self) -> Fields:
        """The parameters of the query."""
        return _fields(self.query_string.decode("latin-1"))

    @cached_property
    def form(self) -> Fields:
        """The fields of a URL-encoded body."""
        if self.mimetype == "multipart/form-data":
            raise RuntimeError("multipart forms need the package werkzeug in the environment of the service")
        encoded = self.mimetype == "application/x-www-form-urlencoded"
        return _fields(self._data.decode("utf-8", "replace")) if encoded else Fields()

    @property
    def files(self) -> Fields:
        """The files of a multipart body; always empty, since they need Werkzeug."""
        _ = self.form
        return Fields()

    @property
    def values(self) -> Fields:
        """The query's parameters and the form's fields."""
        return Fields([*self.args, *self.form])

    @property
    def content_type(self) -> str | None:
        """The value of the header `Content-Type`; None when absent."""
        value: str | None = self.environ.get("CONTENT_TYPE")
        return value

    @property
    def mimetype(self) -> str:
        """The content type without its parameters."""
        return (self.content_type or "").partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """The length of the body in bytes; None for a request without a body."""
        return len(self._data) if "CONTENT_LENGTH" in self.environ else None

    @property
    def url(self) -> str:
        """The URL of the request, as far as the replica knows it."""
        query = self.query_string.decode("latin-1")
        return f"{self.base_url}?{query}" if query else self.base_url

    @property
    def base_url(self) -> str:
        """The URL without the query."""
        return f"{self.scheme}://{self.host}{self.path}"

    @property
    def full_path(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query_string.decode('latin-1')}"

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies."""
        from http.cookies import SimpleCookie

        return {name: morsel.value for name, morsel in SimpleCookie(self.headers.get("Cookie", "")).items()}

    def get_data(self, cache: bool = True, as_text: bool = False, parse_form_data: bool = False) -> Any:
        """Return the body as bytes, or decoded as UTF-8."""
        return self._data.decode("utf-8", "replace") if as_text else self._data

    @property
    def data(self) -> bytes:
        """The body."""
        return self._data

    @property
    def is_json(self) -> bool:
        """Whether the content type announces JSON."""
        kind = self.mimetype
        return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))

    @property
    def json(self) -> Any:
        """The body's JSON value."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body's JSON value.

        Raises ValueError when it is not JSON, or not announced as JSON unless `force`; with `silent` None is returned.
        """
        try:
            if not (force or self.is_json):
                raise ValueError(f"the content type is {self.content_type or 'absent'}, not application/json")
            return json.loads(self._data)
        except (ValueError, RecursionError):
            if silent:
                return None
            raise


def _fields(text: str) -> Fields:
    return Fields(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS))
