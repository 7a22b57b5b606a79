"""What the machine has room for, seen from outside."""

from __future__ import annotations

import time

import httpx
import pytest

from mljupyter.runtimes.host import capacity
from mljupyter.spec import EndpointState
from tests.load import Load
from tests.system.conftest import Machine
from tests.system.test_autoscaling import SLOW
from tests.waiting import wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True


def test_an_endpoint_larger_than_the_machine_is_unschedulable_and_the_problem_has_the_numbers(machine: Machine) -> None:
    machine.client.create(machine.spec(resources={"cpu": 1000, "memoryInGB": 1}))
    wait_until(
        lambda: machine.client.endpoint("echo").status.state is EndpointState.UNSCHEDULABLE, "it is unschedulable"
    )
    problem = machine.client.endpoint("echo").status.problem
    assert problem is not None
    assert problem.code == "Unschedulable"
    assert "a replica asks for 1000 cores and 1 GB; the machine has" in problem.message
    assert machine.replicas() == {}


def test_a_fixed_number_of_replicas_is_limited_by_capacity(machine: Machine) -> None:
    half = capacity().memory_in_gb / 2
    machine.client.create(machine.spec(resources={"memoryInGB": half * 0.99}, scaling={"replicas": 5}))
    wait_until(lambda: machine.client.endpoint("echo").status.replicas == "2/2", "two are ready")
    record = machine.client.endpoint("echo")
    assert record.status.state is EndpointState.UNSCHEDULABLE
    assert "and 2 fit" in record.status.problem.message
    assert httpx.post(record.status.scoring_uri, content=b"1").status_code == 200


def test_load_gets_no_more_replicas_than_have_room_and_nothing_flaps(machine: Machine) -> None:
    half = capacity().memory_in_gb / 2
    record = machine.healthy(
        machine.spec(
            script=SLOW,
            resources={"memoryInGB": half * 0.99},
            scaling={"autoscale": {"maxReplicas": 8}},
            limits={"maxQueueWaitMs": 30_000},
        )
    )
    with Load(record.status.scoring_uri, clients=8, rate=None) as load:
        wait_until(lambda: machine.client.endpoint("echo").status.versions["echo"].replicas_ready == 2, "two are ready")
        # Eight clients need 12 replicas: decisions reach the maximum even if the first saw only some of the clients.
        # Five clients need 8, and the autoscaler stays at 7 once it is there, since that is near enough.
        wait_until(lambda: machine.client.scaling_history("echo")[-1].after == 8, "the whole load is seen")
        until = time.monotonic() + 2
        wait_until(lambda: time.monotonic() > until or len(machine.replicas()) > 2, "the load goes on")
        assert len(machine.replicas()) == 2
    assert load.failed == 0, load.results
    status = machine.client.endpoint("echo").status
    assert status.state is EndpointState.HEALTHY
    assert "and 2 fit" in status.problem.message
    decisions = machine.client.scaling_history("echo")  # more than one where a look fell between the first requests
    assert [item.before for item in decisions] == [1, *(item.after for item in decisions[:-1])]
    assert all(item.after > item.before and item.admitted == 2 for item in decisions)
    assert decisions[-1].after == 8
    assert 0 <= decisions[-1].needed - decisions[-1].demand / 0.7 < 1.01, "the formula, before the bounds"
    assert "and 2 fit" in decisions[-1].reason
