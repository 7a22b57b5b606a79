"""A port that a test has chosen for a server is not given to anybody else before the server starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from mljupyter.runtimes.ports import listening
from tests import ports
from tests.waiting import HANG_SECONDS


def test_each_port_is_free_given_once_and_not_one_that_the_system_gives_to_connections() -> None:
    found = [ports.free_port() for _ in range(50)]
    assert len(set(found)) == len(found)
    assert [port for port in found if listening(port) is not None] == []
    range_of_system = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if range_of_system.exists():
        assert max(found) < int(range_of_system.read_text().split()[0])


def test_another_process_does_not_get_a_port_that_is_reserved_here() -> None:
    mine = ports.free_port()
    program = f"from tests import ports; ports._candidates = iter([{mine}, {mine + 1}]); print(ports.free_port())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.stdout.strip() != str(mine), done.stderr
