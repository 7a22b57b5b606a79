"""Ports for servers that must be told their port before they start, and ports on which nothing listens."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from mljupyter.runtimes.ports import PortReservations

_FIRST, _LAST = 15_000, 30_000  # a cluster takes ports of its nodes from here on
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_directory = Path(tempfile.gettempdir()) / f"mljupyter-test-ports-{os.getuid()}"
_reserved = PortReservations(_directory)
_candidates = iter(random.sample(range(_FIRST, _LAST), _LAST - _FIRST))


def free_port() -> int:
    """Return a port on which nothing listens; no other process of the tests gets it as long as this one runs.

    A port that the system chooses (port 0) can become that of a connection or of another server as soon as it is
    released. This one is outside of the range that the system takes such ports from.
    """
    _directory.mkdir(mode=0o700, exist_ok=True)
    first = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else _LAST
    return _reserved.free_port(port for port in _candidates if port < first)
