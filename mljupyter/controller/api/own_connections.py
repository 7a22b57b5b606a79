"""Connections to the controller's socket are accepted from its own user and from root only."""

from __future__ import annotations

import asyncio
import logging

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from mljupyter.scoring import peers

log = logging.getLogger("mljupyter.controller")


class OwnConnections(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """Speaks HTTP with this user's processes, and closes connections of other users' unread.

    The modes of socket and directory keep others out as well. This holds when somebody has opened them up. Root may do
    anything here in any case, and tools that run as root look at the controller's status.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection, or close it."""
        super().connection_made(transport)
        try:
            user = peers.user_of(transport.get_extra_info("socket"))
        except OSError:  # it has gone already, or the system does not tell
            user = None
        if user is None or not peers.may_command(user):
            log.warning("a connection of user %s was closed: this controller is its owner's alone", user)
            transport.abort()  # type: ignore[attr-defined]
