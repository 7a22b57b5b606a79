"""Transports send requests to a control plane. The endpoint client over HTTP works with each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

ANSWER_WITHIN = 30.0
"""Default timeout of a request, in seconds."""


class ConnectionNotMadeError(Exception):
    """Nobody listens on the socket, or another user does: the request was not sent."""


class ConnectionLostError(Exception):
    """The connection was lost: the request may have been carried out."""


@dataclass(frozen=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


class Transport(Protocol):
    """Sends requests to one control plane."""

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
        """Send a request and return the answer.

        Parameters:
            method, path: of the request.
            body: a JSON document.
            query: the query string's parameters.
            within: seconds to wait for the answer; None for no limit.
            start: start a control plane that is not running, if possible. In a block of `only_looking`, one that was
                stopped stays so.

        Raises:
            ControllerError: the control plane refuses, with its reason.
            ControllerStartError: it cannot be reached, or does not answer in time.

        """
        ...

    def wait_for_control_plane(self) -> bool:
        """Wait a moment after a failed request; return False if the workspace was deleted."""
        ...
