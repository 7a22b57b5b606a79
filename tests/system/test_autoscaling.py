"""Autoscaling on the local target, seen through the real router."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.load import Load
from tests.system.conftest import Machine
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
SLOW = "import time\ndef init(): pass\ndef run(data): time.sleep(0.2)"


def autoscaled(most: int) -> dict[str, object]:
    return {"scaling": {"autoscale": {"maxReplicas": most}}, "limits": {"maxQueueWaitMs": 30_000}}


def test_a_step_of_load_gets_more_replicas_within_seconds_and_loses_nothing(machine: Machine) -> None:
    record = machine.healthy(machine.spec(script=SLOW, **autoscaled(4)))
    assert record.status.versions["echo"].replicas_wanted == 1
    began = time.monotonic()
    with Load(record.status.scoring_uri, clients=6, rate=None) as load:
        wait_until(
            lambda: machine.client.endpoint("echo").status.versions["echo"].replicas_wanted == 4, "four are wanted"
        )
        decided = time.monotonic() - began
        wait_until(
            lambda: machine.client.endpoint("echo").status.versions["echo"].replicas_ready == 4, "four are ready"
        )
        sent = load.sent
        wait_until(lambda: load.sent > sent + 20, "the load goes on")
    assert load.failed == 0, load.results
    assert decided < promised(5)
    assert "→ 4 replicas; " in machine.client.controller_log()


def test_the_number_of_replicas_survives_a_restart_of_the_controller(machine: Machine) -> None:
    record = machine.healthy(machine.spec(script=SLOW, **autoscaled(3)))
    with Load(record.status.scoring_uri, clients=6, rate=None):
        wait_until(
            lambda: machine.client.endpoint("echo").status.versions["echo"].replicas_ready == 3, "three are ready"
        )
    before = set(machine.replicas())
    machine.client.stop()
    machine.client.ensure()
    machine.settle(machine.client.endpoint("echo"))
    assert machine.client.endpoint("echo").status.versions["echo"].replicas_wanted == 3
    assert set(machine.replicas()) == before
    assert httpx.post(record.status.scoring_uri).status_code == 200
