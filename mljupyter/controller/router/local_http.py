"""An HTTP client for this machine: the controller reads replicas' health and the router's statistics with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

import httpcore

from mljupyter.scoring import peers

UNREACHABLE = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class LocalHttp:
    """A client for one address, with persistent connections.

    Parameters:
        address: ``unix:PATH`` or ``HOST:PORT``.
        timeout: the timeout of each step of a request in seconds.
        headers: sent with each request.
        connections: the largest number of connections. Further requests wait for one of them.

    """

    def __init__(
        self, address: str, timeout: float, headers: Mapping[str, str] | None = None, connections: int = 1
    ) -> None:
        self._connections = connections
        self._turn_to(address)
        self._headers = list((headers or {}).items())
        limits = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
        self._extensions = {"timeout": limits}

    async def get(self, path: str, **query: str) -> tuple[int, bytes]:
        """Return status and body, or raise one of `UNREACHABLE`."""
        return await self._request("GET", path + (f"?{urlencode(query)}" if query else ""))

    async def post(self, path: str) -> tuple[int, bytes]:
        """Return status and body, or raise one of `UNREACHABLE`."""
        return await self._request("POST", path)

    async def turn_to(self, address: str) -> None:
        """Use another address from now on. A request in progress ends with one of `UNREACHABLE`."""
        before = self._pool
        self._turn_to(address)
        await before.aclose()

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    def _turn_to(self, address: str) -> None:
        path = address.removeprefix("unix:") if address.startswith("unix:") else None
        self._base = "http://local" if path else f"http://{address}"
        self._pool = httpcore.AsyncConnectionPool(
            uds=path, max_connections=self._connections, network_backend=_OwnSockets()
        )

    async def _request(self, method: str, target: str) -> tuple[int, bytes]:
        url = f"{self._base}{target}"
        answer = await self._pool.request(method, url, headers=self._headers, extensions=self._extensions)
        return answer.status, answer.content


class _OwnSockets(httpcore.AnyIOBackend):
    """Connects only to Unix sockets on which this user listens."""

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await super().connect_unix_socket(path, timeout, socket_options)
        try:
            peers.check(stream.get_extra_info("socket"))
        except OSError as error:
            await stream.aclose()
            raise httpcore.ConnectError(f"{path}: {error}") from error
        return stream
