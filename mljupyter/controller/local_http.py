"""GET over a Unix socket: how the controller asks replicas for their health and the router for its statistics."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import httpcore

UNREACHABLE = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class LocalHttp:
    """A client for one Unix socket, with one connection that is kept.

    Parameters:
        socket: path of the socket.
        timeout: seconds for each step of a request.

    """

    def __init__(self, socket: Path, timeout: float) -> None:
        self._pool = httpcore.AsyncConnectionPool(uds=str(socket), max_connections=1)
        limits = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
        self._extensions = {"timeout": limits}

    async def get(self, path: str, **query: str) -> tuple[int, bytes]:
        """Return status and body, or raise one of `UNREACHABLE`."""
        url = f"http://local{path}" + (f"?{urlencode(query)}" if query else "")
        answer = await self._pool.request("GET", url, extensions=self._extensions)
        return answer.status, answer.content

    async def close(self) -> None:
        """Close the connection."""
        await self._pool.aclose()
