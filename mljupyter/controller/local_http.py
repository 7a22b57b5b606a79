"""GET on this machine: how the controller asks replicas for their health and the router for its statistics."""

from __future__ import annotations

from urllib.parse import urlencode

import httpcore

UNREACHABLE = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class LocalHttp:
    """A client for one address, with one connection that is kept.

    Parameters:
        address: ``unix:PATH`` or ``HOST:PORT``.
        timeout: seconds for each step of a request.

    """

    def __init__(self, address: str, timeout: float) -> None:
        path = address.removeprefix("unix:") if address.startswith("unix:") else None
        self._base = "http://local" if path else f"http://{address}"
        self._pool = httpcore.AsyncConnectionPool(uds=path, max_connections=1)
        limits = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
        self._extensions = {"timeout": limits}

    async def get(self, path: str, **query: str) -> tuple[int, bytes]:
        """Return status and body, or raise one of `UNREACHABLE`."""
        url = f"{self._base}{path}" + (f"?{urlencode(query)}" if query else "")
        answer = await self._pool.request("GET", url, extensions=self._extensions)
        return answer.status, answer.content

    async def close(self) -> None:
        """Close the connection."""
        await self._pool.aclose()
