"""Channel: the one WebSocket of a page. It tells of endpoints as they change, and carries the views.

A message is a JSON object. The page sends these words under ``do``: ``follow`` and ``unfollow`` a workspace; ``rates``
of endpoints; ``open``, ``tell`` and ``close`` a view. It gets these under ``is``: ``endpoints``, ``rates``, ``view``,
``update``, ``message``, ``heard``, ``ended``, ``error``, and ``beat`` at intervals: without it,
the page would not notice that the connection is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from jupyter_server.utils import ensure_async
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from mljupyter.client.looking import only_looking
from mljupyter.errors import MLJupyterError
from mljupyter.labserver.handler import RESOURCE, STATE, FailedError, RequestError, error_document
from mljupyter.labserver.rates import EVERY, SECONDS, due, rates_of
from mljupyter.outside import json_value

if TYPE_CHECKING:
    from mljupyter.labserver.state import ServerState

_MOST_BYTES = 2_000_000
_MOST_WAITING = 2000
_MOST_ASKED = 500
_MOST_RATED = 60
_MOST_IN_ID = 1000
_BEAT_SECONDS = 15.0
BEAT_SETTING = "mljupyter_beat_seconds"
"""The setting of the server's web application with the seconds between two beats."""

log = logging.getLogger(__name__)


class _Turn:
    """Lets the messages about one view or workspace follow each other."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.asked = 0


class Channel(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """The connection of one page."""

    auth_resource = RESOURCE
    _track_activity = False

    def initialize(self) -> None:
        """Prepare what the messages change."""
        self._followed: dict[str, Callable[[], None]] = {}
        self._rated: tuple[str, list[str]] = ("", [])
        self._rating: asyncio.Task[None] | None = None
        self._beating: asyncio.Task[None] | None = None
        self._turns: dict[str, _Turn] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._ended = False

    @property
    def state(self) -> ServerState:
        """What the routes share."""
        found: ServerState = self.settings[STATE]
        return found

    @property
    def max_message_size(self) -> int:
        """The largest message that a page may send, in bytes."""
        return _MOST_BYTES

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> Any:
        """Open the connection, if the user may do what the views do."""
        allowed = self.authorizer.is_authorized(self, self.current_user, "execute", self.auth_resource)
        if not await ensure_async(allowed):
            raise web.HTTPError(HTTPStatus.FORBIDDEN)
        return await super().get(*args, **kwargs)

    def open(self, *args: Any, **kwargs: Any) -> None:
        """Remember the event loop: threads send through it."""
        super().open(*args, **kwargs)
        self._loop = asyncio.get_running_loop()
        self._beating = asyncio.create_task(self._beat())

    def on_message(self, message: str | bytes) -> None:
        """Handle a message of the page. What takes long, such as to open a view, holds up no message about another."""
        try:
            asked = _message(message)
        except MLJupyterError as error:
            self._refuse({}, error)
            return
        if len(self._tasks) >= _MOST_ASKED:  # no page of ours asks for so much before it gets an answer
            self.close(1013, "too much at once")
            return
        task = asyncio.create_task(self._in_turn(asked))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, asked: dict[str, Any]) -> None:
        """Handle a message after the earlier ones about the same view or workspace."""
        about = str(asked.get("view") or asked.get("workspace") or "")
        turn = self._turns.setdefault(about, _Turn())
        turn.asked += 1
        try:
            async with turn.lock:
                await self._do(asked)
        except MLJupyterError as error:
            self._refuse(asked, error)
        except Exception:
            log.exception("a message of a page failed")
            self._refuse(asked, FailedError())
        finally:
            turn.asked -= 1
            if not turn.asked:
                self._turns.pop(about, None)

    async def _beat(self) -> None:
        seconds = float(self.settings.get(BEAT_SETTING, _BEAT_SECONDS))
        while not self._ended:
            await asyncio.sleep(seconds)
            self._send({"is": "beat", "time": time.time()})

    def on_close(self) -> None:
        """Stop following; the views are kept for a while."""
        self._ended = True
        super().on_close()
        for stop in self._followed.values():
            stop()
        self._followed.clear()
        for task in (self._rating, self._beating):
            if task is not None:
                task.cancel()
        self.state.views.leave(self)

    def _refuse(self, asked: dict[str, Any], error: MLJupyterError) -> None:
        about: dict[str, Any] = {name: asked[name] for name in ("view", "workspace") if name in asked}
        self._send({"is": "error", **about, **error_document(error)})

    async def _do(self, asked: dict[str, Any]) -> None:
        match asked.get("do"):
            case "follow":
                await self._follow(_text(asked, "workspace"))
            case "unfollow":
                if (stop := self._followed.pop(_text(asked, "workspace"), None)) is not None:
                    stop()
            case "rates":
                self._rate(asked)
            case "open":
                await self._show(asked)
            case "tell":
                view, number = _text(asked, "view"), asked.get("number")
                number = number if isinstance(number, int) else 0
                if not self.state.views.receive(view, asked.get("content"), str(asked.get("from", "")), number):
                    self._send({"is": "ended", "view": view})
                elif number:
                    self._send({"is": "heard", "view": view, "number": number})
            case "close":
                await self._aside(self.state.views.end, _text(asked, "view"))
            case other:
                raise RequestError(f"{other!r} is nothing that a page can ask for.")

    async def _follow(self, name: str) -> None:
        feed = await self._aside(self.state.feed, name)
        if name not in self._followed and not self._ended:
            self._followed[name] = feed.listen(
                lambda message: self._send_soon({"is": "endpoints", "workspace": name, **message})
            )

    def _rate(self, asked: dict[str, Any]) -> None:
        """Tell of the requests per second of some endpoints from now on, every few seconds."""
        names = asked.get("names")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RequestError("A message lacks 'names', a list of endpoints.")
        self._rated = _text(asked, "workspace"), names[:_MOST_RATED]
        if names and (self._rating is None or self._rating.done()):
            self._rating = asyncio.create_task(self._tell_rates())

    async def _tell_rates(self) -> None:
        """Tell of the rates that have changed. An endpoint without requests is asked less often."""
        told: dict[str, Any] = {}
        of, number = self._rated, 0
        while not self._ended and self._rated[1]:
            if self._rated is not of:
                of, number = self._rated, 0
                told = {name: told[name] for name in of[1] if name in told} if self._rated[0] == of[0] else {}
            workspace, names = of
            found = await self._aside(self._rates, workspace, due(names, told, number))
            number += 1
            if any(told.get(name) != rates for name, rates in found.items()):
                told |= found
                self._send({"is": "rates", "workspace": workspace, "rates": told})
            await asyncio.sleep(EVERY)

    def _rates(self, workspace: str, names: list[str]) -> dict[str, Any]:
        """Return what is known of each endpoint; one that cannot be asked now is left out."""
        found = {}
        for name in names:
            with contextlib.suppress(MLJupyterError), only_looking():
                now = time.time()
                report = self.state.workspace(workspace).endpoints.metrics(name, since=SECONDS, every=EVERY, merge=True)
                found[name] = rates_of(report, now)
        return found

    async def _show(self, asked: dict[str, Any]) -> None:
        view, values = _text(asked, "view"), asked.get("given") or {}
        if len(view) > _MOST_IN_ID:
            raise RequestError(f"'view' has {len(view)} characters: {_MOST_IN_ID} are allowed.")
        if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
            raise RequestError("'given' must be an object of texts.")
        given: dict[str, str] = values
        name = _text(asked, "workspace") if asked.get("workspace") else ""
        workspace = await (self._aside(self.state.workspace, name) if name else self._aside(self.state.default))
        opened = await self._aside(
            self.state.views.show,
            view,
            _text(asked, "kind"),
            workspace,
            given,
            self,
            lambda message: self._send_soon({"view": view, **message}),
        )
        self._send({"is": "view", "view": view, **opened})

    async def _aside(self, work: Callable[..., Any], *values: Any) -> Any:
        """Return the result of slow work, which is done on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.state.pool, work, *values)

    def _send_soon(self, message: dict[str, Any]) -> None:
        """Send a message from any thread."""
        if not self._ended:
            try:
                self._loop.call_soon_threadsafe(self._send, message)
            except RuntimeError:  # the server is ending
                self._ended = True

    def _send(self, message: dict[str, Any]) -> None:
        if self._ended:
            return
        if self._waiting > _MOST_WAITING:  # the page does not read any more, such as on a laptop that sleeps
            self.close(1013, "too slow")
            return
        try:
            sent = self.write_message(json.dumps(message))
        except WebSocketClosedError:
            self._ended = True
            return
        self._waiting += 1
        sent.add_done_callback(self._sent)

    def _sent(self, done: Any) -> None:
        self._waiting -= 1
        done.exception()  # a connection that has ended is no fault


def _message(text: str | bytes) -> dict[str, Any]:
    try:
        found = json_value(text)
    except ValueError as error:
        raise RequestError(f"A message is no JSON: {error}.") from None
    if not isinstance(found, dict):
        raise RequestError(f"A message is a {type(found).__name__}: it must be a JSON object.")
    return found


def _text(asked: dict[str, Any], name: str) -> str:
    found = asked.get(name)
    if not isinstance(found, str) or not found:
        raise RequestError(f"A message lacks {name!r}.")
    return found
