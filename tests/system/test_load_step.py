"""A step from nothing to more than one replica can do, and back, on both targets at once, with the default times.

The way down begins a minute after the end of the load. Other tests run in that minute.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from mljupyter.core import replicas_needed
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import EndpointState
from mljupyter.targets.machine.client import ControllerClient
from tests.load import Load
from tests.system.conftest import Machine, clear_away
from tests.system.targets import build, containers
from tests.system.test_autoscaling import SLOW
from tests.system.test_docker import spec as container_spec
from tests.testbed import needed
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
CLIENTS, RUN_SECONDS = 2, 0.2  # 2 / 0.7 = 2.9: three, also if a client takes a third of the time itself
LIMITS = {"maxQueueWaitMs": 30_000}
SPANS_OTHERS = True


def ready(machine: Machine, name: str) -> int:
    return machine.client.endpoint(name).status.versions[name].replicas_ready


@dataclass
class Step:
    """A step of load that has gone up and ended: for each endpoint its load and how many replicas it needed."""

    machine: Machine
    wanted: int
    loads: dict[str, Load]
    ended: float


@pytest.fixture(scope="session")
def step(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Step]:
    """Load on a process and on a container, until all replicas that it needs are ready. The endpoints stay."""
    needed("MLJUPYTER_TEST_DOCKER")
    directory = (tmp_path_factory.mktemp("step") / "workspace").resolve()
    directory.mkdir(mode=0o700)
    machine = Machine(directory, ControllerClient(directory), ArtifactStore(directory / "artifacts"))
    try:
        yield _stepped(machine)
    finally:
        clear_away(machine)
        for container in containers(machine):
            container.remove(force=True)


def _stepped(machine: Machine) -> Step:
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
            load = Load(str(record.status.scoring_uri), key=keys[name], clients=CLIENTS, rate=None)
            loads[name] = stack.enter_context(load)
            wait_until(lambda name=name: ready(machine, name) == wanted, f"{wanted} replicas of {name} are ready")
        sent = {name: load.sent for name, load in loads.items()}
        wait_until(lambda: all(load.sent > sent[name] + 50 for name, load in loads.items()), "the load goes on")
    return Step(machine, wanted, loads, time.time())


@pytest.mark.alone
def test_a_load_step_scales_up_within_a_second_to_the_formula(step: Step) -> None:
    for name, load in step.loads.items():
        assert load.failed == 0, (name, load.results, load.failures[:5])
        history = step.machine.client.scaling_history(name)
        assert history[0].time.timestamp() - load.first_sent < promised(1.0), history
        assert max(item.after for item in history) == step.wanted, history


@pytest.mark.alone
def test_it_scales_down_a_minute_after_the_end_of_the_load(step: Step) -> None:
    for name, load in step.loads.items():
        wait_until(lambda name=name: ready(step.machine, name) == 1, f"one replica of {name} is left")
        history = step.machine.client.scaling_history(name)
        assert load.failed == 0, (name, load.results, load.failures[:5])
        assert max(item.after for item in history) == step.wanted, history
        assert history[-1].after == 1
        assert 60 <= history[-1].time.timestamp() - step.ended + 1 <= 60 + promised(15), history
        directions = [item.after > item.before for item in history]
        assert directions == sorted(directions, reverse=True), "it goes up, then down, and never back"
