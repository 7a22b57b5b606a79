"""The client's side of following a log: one question after another, each from the place where the last one ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mljupyter.client.errors import ControllerStartError, EndpointNotFoundError
from mljupyter.client.transport import Answer
from mljupyter.controller.layout import Layout

_PATIENCE = 20.0
_SPARE = 10.0
_PAUSE = 0.25


def stream(ask: Callable[..., Answer], layout: Layout, path: str, query: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines with their line ends, old ones first, then new ones as they are written.

    It ends when the endpoint or the workspace is deleted. A controller that has crashed is started again; while
    one that was stopped is away, it waits. Nothing is held open between two questions, so an interrupt leaves nothing
    behind.

    Parameters:
        ask: does a request to the controller and takes `query`, `within` and `start`.
        layout: of the workspace.
        path: the route.
        query: what to ask each time.

    Raises:
        EndpointNotFoundError: when there is no such endpoint to begin with.

    """
    cursor: str | None = None
    while True:
        place = {} if cursor is None else {"cursor": cursor, "timeout": _PATIENCE}
        try:
            answer = ask("GET", path, query={**query, **place}, within=_PATIENCE + _SPARE, start=cursor is None)
        except EndpointNotFoundError:
            if cursor is None:
                raise
            return
        except ControllerStartError:
            if cursor is None:
                raise
            if not layout.directory.exists():
                return
            _wait_for_controller(ask, layout)
            continue
        document = answer.json()
        cursor = document["cursor"]
        yield from document["lines"]


def _wait_for_controller(ask: Callable[..., Answer], layout: Layout) -> None:
    """Return after a pause; start the controller if it crashed, which leaves its socket behind."""
    time.sleep(_PAUSE)
    if layout.socket().exists():
        ask("GET", "/v1/status")
