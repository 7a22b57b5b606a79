"""Transports: how requests reach a control plane. The endpoint client over HTTP is the same on each of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

ANSWER_WITHIN = 30.0
"""Seconds that a control plane has for an answer, unless a request says otherwise."""


class ConnectionNotMadeError(Exception):
    """Nothing listens there, or another user does: the request was not sent."""


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
            within: seconds to wait for the answer; None waits forever.
            start: start a control plane that is not running, where that is possible.

        Raises:
            ControllerError: the control plane refuses, with its reason.
            ControllerStartError: it cannot be reached, or does not answer in time.

        """
        ...

    def wait_for_control_plane(self) -> bool:
        """Wait a moment after a request that failed; return False when the workspace is gone."""
        ...
