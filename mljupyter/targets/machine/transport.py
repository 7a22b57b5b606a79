"""Requests to the controller of a workspace over its Unix socket. A missing controller is started."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from mljupyter.client.errors import ControllerError, ControllerStartError, error_for
from mljupyter.client.looking import is_only_looking
from mljupyter.client.transport import ANSWER_WITHIN, Answer, ConnectionLostError, ConnectionNotMadeError
from mljupyter.client.unix_socket import ask
from mljupyter.controller.layout import Layout
from mljupyter.files import file_at

_FIRST_ERROR = 400
_PAUSE = 0.25
_STATUS_WITHIN = 5.0


class SocketTransport:
    """The `Transport` to one workspace's controller."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._checked: tuple[int, int] | None = None  # the socket of the controller that is known to understand this

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        within: float | None = ANSWER_WITHIN,
        start: bool = True,
    ) -> Answer:
        """Send a request and return the answer; see `Transport.ask`."""
        target = f"{path}?{urlencode(query)}" if query else path
        if start:
            self._check()
        try:
            answer = ask(self._layout.socket(), method, target, body, within)
        except (ConnectionNotMadeError, ConnectionLostError) as error:
            if isinstance(error, ConnectionLostError) and method != "GET":
                raise ControllerStartError(
                    "the controller ended while it was asked. Look at the endpoint before trying again."
                ) from None
            if not start or (is_only_looking() and not self._layout.socket().exists()):  # a crash leaves it behind
                raise ControllerStartError("no controller runs. Start it: mljupyter controller start") from None
            answer = self._ask_a_new_one(method, target, body, within)
        except TimeoutError:
            raise ControllerStartError(f"the controller has not answered within {within} s.") from None
        if answer.status >= _FIRST_ERROR:
            raise _error(answer)
        return answer

    def _check(self) -> None:
        """Look once at each controller whether it is of this release: one of an older release is replaced."""
        present = file_at(self._layout.socket())
        if present is None or present == self._checked:
            return
        from mljupyter.controller import takeover  # only for the first request to a controller

        takeover.check(self._layout, self._status)
        self._checked = file_at(self._layout.socket())

    def _status(self) -> Mapping[str, Any] | None:
        """Return the status document of the controller; None when none answers."""
        try:
            answer = ask(self._layout.socket(), "GET", "/v1/status", None, _STATUS_WITHIN)
            return dict(answer.json()) if answer.status < _FIRST_ERROR else None
        except (ConnectionNotMadeError, ConnectionLostError, TimeoutError, ValueError, TypeError):
            return None

    def wait_for_control_plane(self) -> bool:
        """Wait a moment, and start the controller again after a crash, which leaves its socket behind."""
        if not self._layout.directory.exists():
            return False
        time.sleep(_PAUSE)
        if self._layout.socket().exists():
            self.ask("GET", "/v1/status")
        return True

    def _ask_a_new_one(self, method: str, target: str, body: Mapping[str, Any] | None, within: float | None) -> Answer:
        """Start the controller and send the request, which has not been sent yet or only reads."""
        from mljupyter.controller import launch  # only when a controller must be started

        launch.start(self._layout)
        try:
            return ask(self._layout.socket(), method, target, body, within)
        except (ConnectionNotMadeError, ConnectionLostError, TimeoutError):
            raise ControllerStartError("the controller was started, and does not answer. Its log says more.") from None


def _error(answer: Answer) -> ControllerError:
    try:
        document = answer.json()
        return error_for(document["code"], document["message"])
    except (ValueError, KeyError, TypeError):
        return error_for("", f"the controller answered with status {answer.status}.")
