"""One HTTP request over a Unix socket, with the standard library only: this module is imported in every notebook."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mljupyter.client.transport import Answer, ConnectionLostError, ConnectionNotMadeError
from mljupyter.ownership import user_name
from mljupyter.scoring import peers

USER_HEADER = "mljupyter-user"


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("controller", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
            peers.check(self.sock)
        except OSError as error:
            self.sock.close()
            raise ConnectionNotMadeError(str(error)) from error


def ask(path: Path, method: str, target: str, body: Mapping[str, Any] | None, within: float | None) -> Answer:
    """Send a request as the user of this process, and return the answer.

    Parameters:
        path: the socket.
        method: the HTTP method.
        target: path and query.
        body: a JSON document.
        within: seconds to wait; None for no limit.

    Raises:
        ConnectionNotMadeError: nobody listens.
        ConnectionLostError: the other side closes the connection before it has answered.
        TimeoutError: there is no answer in time.

    """
    connection = _UnixConnection(path, within)
    try:
        content = None if body is None else json.dumps(body).encode()
        headers = {USER_HEADER: quote(user_name()), **({"content-type": "application/json"} if content else {})}
        connection.request(method, target, content, headers)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read())
    except TimeoutError:
        raise
    except (HTTPException, OSError) as error:
        raise ConnectionLostError(str(error)) from error
    finally:
        connection.close()
