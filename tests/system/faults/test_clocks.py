"""Clocks that jump: nothing expires, nothing is started or stopped for it."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from mljupyter.spec import Authentication
from tests.fault_table import Fault
from tests.steady_load import SteadyLoad
from tests.system.conftest import Machine

pytestmark = pytest.mark.system
WITH_THE_CLOCK = "import time\ndef init(): pass\ndef run(data): return time.time()"


@pytest.mark.faults(25, "the clock of controller and replicas jumps by an hour, to and fro")
def test_clocks_that_jump_cost_nothing_and_nothing_expires(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    offset = tmp_path / "offset"
    offset.write_text("+0")
    faked = {
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with monkeypatch.context() as patch:
        for name, value in {**faked, "LD_PRELOAD": str(faketime_library())}.items():
            patch.setenv(name, value)
        machine.client.ensure()
    spec = machine.spec(
        script=WITH_THE_CLOCK,
        authentication=Authentication.KEY,
        environment_variables=faked,
        scaling={"autoscale": {"minReplicas": 2, "maxReplicas": 3}},
    )
    uri = str(machine.healthy(spec).status.scoring_uri)
    before = set(machine.replicas())
    key = machine.client.keys("echo")[0]
    with SteadyLoad(uri, key=key, clients=2, one_shot=1, requests=500, pause=0.02) as load, httpx.Client() as client:
        fault.under(load)
        client.headers["authorization"] = f"Bearer {key}"
        for jump in (3600, -3600, 0):
            offset.write_text(f"{jump:+d}")
            load.runs(50)
            told = client.post(uri).json() - time.time()
            assert told == pytest.approx(jump, abs=60), "the replica's clock has jumped"
            began = time.monotonic()
            machine.client.regenerate_key("echo", "secondary")
            assert time.monotonic() - began < 5
            load.runs(50)
            assert set(machine.replicas()) == before
    assert load.failed == 0, load.failures
    assert not machine.client.scaling_history("echo"), "no reason to scale"


def faketime_library() -> Path:
    """Return the library that lets a process believe in another time."""
    found = pytest.importorskip("libfaketime", reason="needs libfaketime: pip install 'mljupyter[dev]'")
    return next(Path(str(found.__file__)).parent.rglob("libfaketime.so.1"))
