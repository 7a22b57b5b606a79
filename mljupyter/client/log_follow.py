"""Follow a log by repeated requests, each from the position where the last one ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mljupyter.client.errors import ControllerStartError, EndpointNotFoundError
from mljupyter.client.transport import Transport

_POLL_SECONDS = 20.0
_SPARE = 10.0


def stream(transport: Transport, path: str, query: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines with their line ends: old ones first, then new ones as they are written.

    The stream ends when the endpoint or the workspace is deleted. A crashed controller is started again; after a
    regular stop, the stream waits for the next controller. No connection stays open between two requests, so an
    interrupt leaves nothing behind.

    Parameters:
        transport: sends requests to the control plane.
        path: the route.
        query: parameters of each request.

    Raises:
        EndpointNotFoundError: the endpoint does not exist when the stream begins.

    """
    cursor: str | None = None
    while True:
        position = {} if cursor is None else {"cursor": cursor, "timeout": _POLL_SECONDS}
        try:
            answer = transport.ask(
                "GET", path, query={**query, **position}, within=_POLL_SECONDS + _SPARE, start=cursor is None
            )
        except EndpointNotFoundError:
            if cursor is None:
                raise
            return
        except ControllerStartError:
            if cursor is None:
                raise
            if not transport.wait_for_control_plane():
                return
            continue
        document = answer.json()
        cursor = document["cursor"]
        yield from document["lines"]
