"""Hot restart: two routers share a port, and new connections go to the newer one.

Two routers may listen on one port, and the system distributes connections between them at random. Those that the old
router has not accepted when it closes the port would be reset. So the sockets that share a port get a rule, a classic
BPF program (``SO_ATTACH_REUSEPORT_CBPF``, see socket(7)): the second socket is chosen if there is one. When the first
is closed, the second becomes the first, and the next one is the second again. The rule stays with the group of sockets
while any process listens.
"""

from __future__ import annotations

import ctypes
import logging
import socket
import struct
import sys
from collections.abc import Iterable

_SO_ATTACH_REUSEPORT_CBPF = 51
_RETURN_CONSTANT = 0x06  # BPF_RET | BPF_K
_SECOND = 1

log = logging.getLogger(__name__)


def newest_wins(addresses: Iterable[tuple[str, int]]) -> None:
    """Install the rule for ports that a router has just begun to listen on.

    Only a socket of the group can install it, so for some microseconds there is a socket that accepts nothing. So call
    this only for ports without clients. If the system does not support such rules, nothing happens, and the replacement
    of a router may lose connections if many are made at that time.

    Parameters:
        addresses: IP address and port of each listener.

    """
    if sys.platform != "linux":
        return
    for address, port in addresses:
        try:
            _make_rule(address, port)
        except OSError as error:
            log.info("hot restart is not available for %s port %d: %s", address, port, error)


def _make_rule(address: str, port: int) -> None:
    instruction = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN_CONSTANT, 0, 0, _SECOND))
    program = struct.pack("HP", 1, ctypes.addressof(instruction))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as member:
        member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
        member.bind((address, port))
        member.listen(1)
        member.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, program)
