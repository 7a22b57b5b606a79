"""The user at the other end of a Unix socket.

A socket's path may lie where others can put one of theirs, so each client asks the system who listens before it sends
a byte. Everything in mljupyter that connects to a socket of ours imports this; it needs the standard library alone.
"""

from __future__ import annotations

import os
import socket
import struct

_LINUX = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_XUCRED = struct.Struct("=II68x")  # struct xucred of macOS: version, uid, then groups
_XUCRED_VERSION = 0
_SOL_LOCAL, _LOCAL_PEERCRED = 0, 1  # <sys/un.h>; Python's socket module does not name them on macOS


class ForeignPeerError(ConnectionRefusedError):
    """A process of another user listens on the socket; nothing has been sent to it."""


def check(connection: socket.socket) -> None:
    """Refuse a connection to a process of another user.

    Parameters:
        connection: a connected Unix socket. It stays open.

    Raises:
        ForeignPeerError: when the process that listens runs as somebody else.
        OSError: when the system does not tell.

    """
    user, mine = user_of(connection), os.getuid()
    if user != mine:
        raise ForeignPeerError(f"a process of user {user} listens there, and this is user {mine}")


def may_command(user: int) -> bool:
    """Return whether a user may command the processes of this user: the same user may, and root."""
    return user in (os.getuid(), 0)


def user_of(connection: socket.socket) -> int:
    """Return the user id of the process at the other end, as it was when it began to listen or to connect."""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX.size)
        return int(_LINUX.unpack(credentials)[1])
    return user_of_xucred(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))


def user_of_xucred(credentials: bytes) -> int:
    """Return the user id that macOS's answer to LOCAL_PEERCRED holds; raise OSError for an answer of another form."""
    if len(credentials) != _XUCRED.size:
        raise OSError(f"LOCAL_PEERCRED answered with {len(credentials)} bytes, not {_XUCRED.size}")
    version, user = _XUCRED.unpack(credentials)
    if version != _XUCRED_VERSION:
        raise OSError(f"LOCAL_PEERCRED answered with version {version} of its structure, not {_XUCRED_VERSION}")
    return int(user)
