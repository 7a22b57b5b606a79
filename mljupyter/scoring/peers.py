"""The user at the other end of a Unix socket.

Another user may be able to create a socket at the same path, so each client checks the user of the listener before it
sends a byte. All parts of mljupyter that connect to a Unix socket of their own use this module; it needs the standard
library only.
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
    """A process of another user listens on the socket. Nothing has been sent to it."""


def check(connection: socket.socket) -> None:
    """Refuse a connection to a process of another user.

    Parameters:
        connection: a connected Unix socket. It stays open.

    Raises:
        ForeignPeerError: when the listening process runs as another user.
        OSError: when the system does not name the user.

    """
    user, mine = user_of(connection), os.getuid()
    if user != mine:
        raise ForeignPeerError(f"a process of user {user} listens there, and this is user {mine}")


def may_command(user: int) -> bool:
    """Return whether a user may command the processes of this user: the same user may, and root."""
    return user in (os.getuid(), 0)


def user_of(connection: socket.socket) -> int:
    """Return the user id that the process at the other end had when it began to listen or connected."""
    if hasattr(socket, "SO_PEERCRED"):
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX.size)
        return int(_LINUX.unpack(credentials)[1])
    return user_of_xucred(connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size))


def user_of_xucred(credentials: bytes) -> int:
    """Return the user id in an answer of macOS to LOCAL_PEERCRED; raise OSError if it has another form."""
    if len(credentials) != _XUCRED.size:
        raise OSError(f"LOCAL_PEERCRED answered with {len(credentials)} bytes, not {_XUCRED.size}")
    version, user = _XUCRED.unpack(credentials)
    if version != _XUCRED_VERSION:
        raise OSError(f"LOCAL_PEERCRED answered with version {version} of its structure, not {_XUCRED_VERSION}")
    return int(user)
