"""HTTP servers embedded in the controller: no signal handlers or log configuration of their own, bounded shutdown."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp


def http_server(application: ASGIApp, *, ends_within: int, **options: Any) -> uvicorn.Server:
    """Return a server for an application. Its `serve` runs it on sockets that are bound already.

    Parameters:
        application: the application that answers requests.
        ends_within: seconds that requests in progress have when the server is asked to end.
        options: further settings of `uvicorn.Config`.

    """
    configuration = uvicorn.Config(
        application,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=ends_within,
        **options,
    )
    return _Server(configuration)


def listener_at(address: str, port: int) -> socket.socket:
    """Return a listening socket. Without an address it is reached by every address of this machine or pod."""
    if address:
        return socket.create_server((address, port))
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=both)


class _Server(uvicorn.Server):
    """Leaves signals to the controller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
