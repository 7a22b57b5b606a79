"""Base class of the routes: who may ask, where slow work is done, and how errors are answered."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web
from tornado.iostream import StreamClosedError

from mljupyter.client.looking import only_looking
from mljupyter.errors import MLJupyterError
from mljupyter.outside import json_value, whole

if TYPE_CHECKING:
    from mljupyter.core import Workspace
    from mljupyter.labserver.state import ServerState

RESOURCE = "mljupyter"
"""The resource that an authorizer of the server is asked about: read for GET, write for the other methods."""
STATE = "mljupyter_state"
REQUEST_ID = "X-Mljupyter-Request"
"""The header with the id of a change. A page that has got no answer sends the change again with the same id."""
_MOST_BYTES = 1_000_000
_MOST_SAID = 900

log = logging.getLogger(__name__)


class RequestError(MLJupyterError):
    """A request of the page breaks a rule."""


class FailedError(MLJupyterError):
    """The extension itself has failed."""

    status_code = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self) -> None:
        super().__init__("The extension of the server failed; the log of Jupyter Server says how.")


def error_document(error: MLJupyterError) -> dict[str, str]:
    """Return an error as the page gets it: a word to search for, the message, and the way out if it has a line."""
    message, _, hint = error.message.partition("\n")
    if len(message) > _MOST_SAID:  # it repeats what was sent
        message = f"{message[:_MOST_SAID]} …"
    return {"code": str(getattr(error, "code", type(error).__name__)), "message": message, "hint": hint}


def status_of(error: MLJupyterError) -> int:
    """Return the HTTP status of an error."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return status
    return HTTPStatus.NOT_FOUND if "NotFound" in error.message else HTTPStatus.BAD_REQUEST


@dataclass(frozen=True)
class Download:
    """The answer of a route that is a file.

    Parameters:
        name: the name that a browser gives the file.
        pieces: its content; read on threads, one piece at a time, as fast as the page takes them.
        size: in bytes, if it is known before.

    """

    name: str
    pieces: Iterator[bytes]
    size: int | None = None


def _looked(read: Callable[..., Any], *names: str) -> Any:
    """Read, and leave a control plane stopped that was stopped."""
    with only_looking():
        return read(*names)


class Handler(APIHandler):
    """A route. Subclasses override `read`, `change` or `remove`, which run on a thread and return a JSON value.

    `read` may return a `Download` instead.

    Every method asks for the user and for the right to do so here, so that no route can forget it. No request counts as
    activity: a page that is only open must not keep a server of a hub alive.
    """

    auth_resource = RESOURCE
    _track_activity = False

    @property
    def state(self) -> ServerState:
        """What the routes share."""
        found: ServerState = self.settings[STATE]
        return found

    def workspace(self, name: str) -> Workspace:
        """Return the workspace of a name, or raise `WorkspaceException`."""
        return self.state.workspace(name)

    def body(self) -> Mapping[str, Any]:
        """Return the JSON object that was sent; an empty one if nothing was.

        Raises:
            RequestError: it is none.

        """
        if not self.request.body:
            return {}
        try:
            found = json_value(self.request.body)
        except ValueError as error:
            raise RequestError(f"The request is no JSON: {error}.") from None
        if not isinstance(found, dict):
            raise RequestError(f"The request is a {type(found).__name__}: it must be a JSON object.")
        return found

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number of the query within bounds."""
        text = self.get_query_argument(name, "")
        found = whole(text) if text else default
        if found is None or not least <= found <= most:
            raise RequestError(f"{name} is {text!r}: it must be a whole number from {least} to {most}.")
        return found

    def read(self, *names: str) -> Any:
        """Answer GET."""
        raise web.HTTPError(HTTPStatus.METHOD_NOT_ALLOWED)

    def change(self, *names: str) -> Any:
        """Answer POST."""
        raise web.HTTPError(HTTPStatus.METHOD_NOT_ALLOWED)

    def remove(self, *names: str) -> Any:
        """Answer DELETE."""
        raise web.HTTPError(HTTPStatus.METHOD_NOT_ALLOWED)

    @web.authenticated
    @authorized
    async def get(self, *names: str) -> None:
        """Answer with what `read` returns."""
        await self._answer(partial(_looked, self.read, *names))

    @web.authenticated
    @authorized
    async def post(self, *names: str) -> None:
        """Answer with what `change` returns."""
        if len(self.request.body) > _MOST_BYTES:
            raise web.HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        await self._answer(partial(self.change, *names))

    @web.authenticated
    @authorized
    async def delete(self, *names: str) -> None:
        """Answer with what `remove` returns."""
        await self._answer(partial(self.remove, *names))

    async def _answer(self, work: Callable[[], Any]) -> None:
        request_id = "" if self.request.method == "GET" else self.request.headers.get(REQUEST_ID, "")
        status, found = await self.state.once.result(request_id, lambda: self._done(work))
        self.set_status(status)
        if isinstance(found, Download):
            await self._give(found)
        else:
            self.finish(json.dumps(found))

    async def _done(self, work: Callable[[], Any]) -> tuple[int, Any]:
        try:
            return HTTPStatus.OK, await asyncio.get_running_loop().run_in_executor(self.state.pool, work)
        except MLJupyterError as error:
            return status_of(error), error_document(error)
        except web.HTTPError:
            raise
        except Exception:  # Tornado would log the address, which may have the token of the user in it
            log.exception("a request of a page failed")
            failed = FailedError()
            return status_of(failed), error_document(failed)

    async def _give(self, download: Download) -> None:
        """Send a file. An error after its first piece ends the connection, so that no browser takes it for whole."""
        loop = asyncio.get_running_loop()
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{quote(download.name, safe='')}")
        if download.size is not None:
            self.set_header("Content-Length", str(download.size))
        try:
            while (piece := await loop.run_in_executor(self.state.pool, next, download.pieces, None)) is not None:
                self.write(piece)
                await self.flush()
        except StreamClosedError:  # the person has cancelled it
            return
        except MLJupyterError as error:
            self.log.warning("the download of %s has ended: %s", download.name, error.message)
            if self.request.connection is not None:
                cast(Any, self.request.connection).stream.close()
            return
        self.finish(set_content_type="application/octet-stream")
