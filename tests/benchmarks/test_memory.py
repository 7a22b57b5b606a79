"""The memory benchmark ends where it cannot measure, and measures where a process ends meanwhile."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import memory
from mljupyter.spec import EndpointState
from tests.waiting import wait_until


def test_endpoints_that_do_not_become_healthy_end_it_with_their_states() -> None:
    states = {"one": EndpointState.HEALTHY, "two": EndpointState.FAILED}
    records = [
        SimpleNamespace(spec=SimpleNamespace(name=name), status=SimpleNamespace(state=state))
        for name, state in states.items()
    ]
    client: Any = SimpleNamespace(endpoints=lambda: records)
    with pytest.raises(SystemExit, match="1 endpoints are not Healthy after 0 s: two Failed"):
        memory.wait_until_healthy(client, within=0)


def test_a_process_that_has_ended_takes_nothing(tmp_path: Path) -> None:
    code = "import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) as process:
        try:
            (found,) = wait_until(lambda: list(memory.family(tmp_path)), "the process is seen")
            assert found == ("controller", process.pid)
            assert memory.sizes(tmp_path)["controller"][0] > 0
        finally:
            process.kill()
    assert memory.sizes(tmp_path) == {}
    assert memory.size_of(process.pid) is None
