"""Connections to the controller's socket are accepted from its own user and from root only."""

from __future__ import annotations

import asyncio
import logging

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from mljupyter.scoring import peers

log = logging.getLogger("mljupyter.controller")


class OwnConnections(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Serves HTTP to this user's processes, and closes connections of other users without reading.

    The modes of socket and directory also exclude others. This check still holds if the modes were changed. Root can do
    anything here in any case, and tools that run as root read the controller's status.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept a connection, or close it."""
        super().connection_made(transport)
        try:
            user = peers.user_of(transport.get_extra_info("socket"))
        except OSError:  # it is closed already, or the system does not know the user
            user = None
        if user is None or not peers.may_command(user):
            log.warning("a connection of user %s was closed: only its owner may use this controller", user)
            transport.abort()  # type: ignore[attr-defined]
