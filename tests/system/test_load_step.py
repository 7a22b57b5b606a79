"""A step from nothing to more than one replica can do, and back, on both targets at once, with the default times."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from mljupyter.core import replicas_needed
from mljupyter.spec import EndpointState
from tests.load import Load
from tests.system.conftest import Machine
from tests.system.test_autoscaling import SLOW
from tests.system.test_docker import build, engine  # noqa: F401 - a fixture
from tests.system.test_docker import spec as container_spec
from tests.testbed import needed
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
CLIENTS, RUN_SECONDS = 2, 0.2  # 2 / 0.7 = 2.9: three, also if a client takes a third of the time itself
LIMITS = {"maxQueueWaitMs": 30_000}


def ready(machine: Machine, name: str) -> int:
    return machine.client.endpoint(name).status.versions[name].replicas_ready


@pytest.mark.alone
def test_a_load_step_scales_up_within_a_second_to_the_formula_and_down_after_a_minute(machine: Machine, engine) -> None:  # noqa: F811
    needed("MLJUPYTER_TEST_DOCKER")
    scaling = {"autoscale": {}}
    machine.client.create(machine.spec("process", SLOW, scaling=scaling, limits=LIMITS))
    machine.client.create(container_spec(build(SLOW), "container", scaling=scaling, limits=LIMITS))
    records = [machine.settle(machine.client.endpoint(name)) for name in ("process", "container")]
    assert [record.status.state for record in records] == [EndpointState.HEALTHY] * 2, records
    keys = {"process": None, "container": machine.client.keys("container")[0]}
    wanted = replicas_needed(CLIENTS / RUN_SECONDS, RUN_SECONDS)
    loads: dict[str, Load] = {}
    with ExitStack() as stack:
        for record in records:
            name = record.spec.name
            loads[name] = stack.enter_context(Load(record.status.scoring_uri, key=keys[name], clients=CLIENTS))
            wait_until(lambda name=name: ready(machine, name) == wanted, f"{wanted} replicas of {name} are ready")
        sent = {name: load.sent for name, load in loads.items()}
        wait_until(lambda: all(load.sent > sent[name] + 50 for name, load in loads.items()), "the load goes on")
    ended = time.time()
    for name, load in loads.items():
        wait_until(lambda name=name: ready(machine, name) == 1, f"one replica of {name} is left")
        assert load.failed == 0, (name, load.results, load.failures[:5])
        history = machine.client.scaling_history(name)
        decided = [item.time.timestamp() for item in history]
        assert decided[0] - load.first_sent < promised(1.0), history
        assert max(item.after for item in history) == wanted, history
        assert history[-1].after == 1
        assert 60 <= decided[-1] - ended + 1 <= 60 + promised(15), history
        directions = [item.after > item.before for item in history]
        assert directions == sorted(directions, reverse=True), "it goes up, then down, and never back"
