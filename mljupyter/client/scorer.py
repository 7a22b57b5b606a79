"""Requests to a scoring URI over a connection that is kept open."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from mljupyter.client.reach import Reach
from mljupyter.exceptions import WebserviceException

_LOST = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)


class CutOffError(http.client.HTTPException):
    """The connection was closed in the middle of an answer."""


@dataclass(frozen=True)
class Answer:
    """An answer of a web service."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", errors="replace")


class Scorer:
    """Posts to web services; each thread keeps one connection open.

    Parameters:
        reach: returns how this machine reaches a web service with TLS; called when needed, and again when a certificate
            has changed.

    """

    def __init__(self, reach: Callable[[], Reach | None] | None = None) -> None:
        self._local = threading.local()
        self._ask = reach
        self._reach: Reach | None = None

    def post(self, uri: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """Post a body and return the answer, whatever its status.

        Parameters:
            uri: the scoring URI.
            body: the request body.
            headers: request headers.
            timeout: seconds without a byte until the request fails.

        Raises:
            WebserviceException: there is no answer.

        """
        return self._send("POST", uri, body, headers, timeout)

    def get(self, uri: str, headers: Mapping[str, str], timeout: float) -> Answer:
        """Get the answer of a URI, whatever its status; see `post`."""
        return self._send("GET", uri, None, headers, timeout)

    def _send(self, method: str, uri: str, body: bytes | None, headers: Mapping[str, str], timeout: float) -> Answer:
        parts = urlsplit(uri)
        address = (parts.scheme, parts.netloc)
        try:
            if getattr(self._local, "address", None) == address:
                try:
                    return self._exchange(method, parts.path, body, headers, timeout)
                except _LOST:
                    pass  # the server closed a connection that was idle; nothing was answered on it
            try:
                self._connect(parts, timeout)
                return self._exchange(method, parts.path, body, headers, timeout)
            except ssl.SSLCertVerificationError:
                if self._ask is None:
                    raise
                self._reach = None  # the certificate has changed: get the trusted ones again
                self._connect(parts, timeout)
                return self._exchange(method, parts.path, body, headers, timeout)
        except TimeoutError:
            self.close()
            raise WebserviceException(f"{uri} did not answer within {timeout:g} s.", status_code=504) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            reason = str(error) or type(error).__name__
            if isinstance(error, CutOffError):
                raise WebserviceException(f"{uri}: {reason}", status_code=502) from None
            raise WebserviceException(f"{uri} cannot be reached: {reason}", status_code=503) from None
        except BaseException:
            self.close()  # interrupted between request and answer: the connection cannot be used again
            raise

    def close(self) -> None:
        """Close this thread's connection."""
        connection = self._local.__dict__.pop("connection", None)
        self._local.__dict__.pop("address", None)
        if connection is not None:
            connection.close()

    def _connect(self, parts: SplitResult, timeout: float) -> None:
        self.close()
        if parts.scheme == "https" and self._ask is not None:
            self._reach = self._reach or self._ask() or Reach()
            self._local.connection = self._reach.connection(str(parts.hostname), parts.port or 443, timeout)
        else:
            self._local.connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
        self._local.address = (parts.scheme, parts.netloc)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> Answer:
        connection: http.client.HTTPConnection = self._local.connection
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        connection.request(method, path, body=body, headers=dict(headers))
        response = connection.getresponse()
        try:
            return Answer(response.status, response.read())
        except http.client.IncompleteRead as error:  # an answer in pieces whose run() has failed or was stopped
            raise CutOffError(
                f"the answer was cut off after {len(error.partial)} bytes; its log has the reason"
            ) from None
