"""Fifty times the load at once: bounded queues, one decision."""

from __future__ import annotations

import os
import time

import httpx
import pytest

from tests.fault_table import Fault
from tests.steady_load import SteadyLoad
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS, promised, slowness, wait_until

pytestmark = pytest.mark.system
BUSY = "import time\ndef init(): pass\ndef run(data): time.sleep(0.05); return 1"
BURST_SECONDS = float(os.environ.get("MLJUPYTER_FAULT_BURST_SECONDS", "5"))


@pytest.mark.faults(24, "load times fifty at once")
def test_in_a_burst_queues_stay_bounded_and_the_autoscaler_decides_once(machine: Machine, fault: Fault) -> None:
    limits = {"maxQueueWaitMs": 300, "maxQueueLength": 10}
    scaling = {"autoscale": {"maxReplicas": 3}}
    uri = str(machine.healthy(machine.spec(script=BUSY, scaling=scaling, limits=limits)).status.scoring_uri)
    with SteadyLoad(uri, clients=1, one_shot=0, requests=20, pause=0.2):
        began = time.time()
        with SteadyLoad(uri, clients=50, one_shot=10, requests=100, pause=0.01) as burst:
            fault.under(burst)
            refused = None
            with httpx.Client() as client:
                while refused is None and time.time() - began < HANG_SECONDS:
                    answer = client.post(uri)
                    refused = answer if answer.status_code != 200 else None
            wait_until(lambda: time.time() - began > BURST_SECONDS, "the burst is over")
        sent = time.time()
        wait_until(lambda: httpx.post(uri).status_code == 200, "it serves")
    assert refused is not None
    assert refused.status_code in (429, 503)
    assert int(refused.headers["retry-after"]) >= 1
    assert set(burst.results) <= {"200", "429", "503"}, burst.results
    expected = 3 * 0.5 * (BURST_SECONDS - 3) / 0.05
    assert burst.results["200"] > expected / slowness(), "the replicas are busy with what they can do"
    decisions = [item for item in machine.client.scaling_history("echo") if item.time.timestamp() < sent]
    up = decisions[0].time.timestamp() - began
    fault.recovered(up, "until decided; refused requests get `Retry-After`")
    assert up < promised(1.5)
    assert [item.after > item.before for item in decisions] == [True] * len(decisions), "no way back in between"
