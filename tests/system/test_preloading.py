"""Replicas whose workers are forked from one zygote, through the real controller and router."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from mljupyter.runtimes.process.zygotes import AVAILABLE
from mljupyter.spec import EndpointRecord
from tests.load import Load
from tests.system.conftest import Machine
from tests.waiting import wait_until

pytestmark = [pytest.mark.system, pytest.mark.skipif(not AVAILABLE, reason="workers are forked on Linux only")]
SHARES_MACHINE = True

SLOW_START = """
    import os, time

    def init():
        global loaded
        time.sleep(1)
        loaded = os.getpid()
        print("the model is loaded")

    def run(data):
        return {"loaded": loaded, "pid": os.getpid()}
    """
WAITING = {"maxQueueWaitMs": 20_000}


def templates(machine: Machine) -> dict[int, list[str]]:
    return {pid: command for pid, command in machine.replicas().items() if "--template-socket" in command}


def fronts(machine: Machine) -> set[int]:
    return {pid for pid, command in machine.replicas().items() if "--unix-socket" in command}


def loaded_by(record: EndpointRecord, requests: int = 20) -> set[int]:
    """Return which processes have run init() for the workers that answer."""
    return {httpx.post(record.status.scoring_uri).json()["loaded"] for _ in range(requests)}


def scaled(machine: Machine, record: EndpointRecord, replicas: int) -> EndpointRecord:
    versions = {
        name: version.model_copy(update={"scaling": version.scaling.model_copy(update={"replicas": replicas})})
        for name, version in record.spec.versions.items()
    }
    changed = machine.client.replace(record.spec.model_copy(update={"versions": versions}))
    wait_until(
        lambda: machine.client.endpoint("echo").status.versions["echo"].replicas_ready == replicas,
        f"{replicas} are ready",
    )
    return machine.settle(changed)


@pytest.fixture
def preloaded(machine: Machine) -> EndpointRecord:
    return machine.healthy(machine.spec(script=SLOW_START, preload=True, scaling={"replicas": 2}, limits=WAITING))


def test_init_runs_once_for_all_replicas_and_for_those_that_come_later(
    machine: Machine, preloaded: EndpointRecord
) -> None:
    record = scaled(machine, preloaded, 4)
    assert len(loaded_by(record)) == 1
    assert len(fronts(machine)) == 4 and len(templates(machine)) == 1
    log = machine.client.logs("echo")
    assert log.count("the model is loaded") == 1
    assert "the model is loaded" in machine.client.logs("echo", startup=True)


def test_a_killed_zygote_costs_nothing_and_the_next_scale_up_has_another_one(
    machine: Machine, preloaded: EndpointRecord
) -> None:
    (keeper,) = templates(machine)
    (before,) = loaded_by(preloaded)
    with Load(preloaded.status.scoring_uri, clients=2) as load:
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(keeper) or not templates(machine), "the zygote is gone")
        sent = load.sent
        wait_until(lambda: load.sent > sent + 20, "the load goes on")
        scaled(machine, preloaded, 3)
        wait_until(lambda: len(loaded_by(preloaded)) == 2, "the new replica answers")
    assert load.failed == 0, load.results
    assert len(templates(machine)) == 1


def test_a_restarted_controller_finds_replicas_and_zygote_again(machine: Machine, preloaded: EndpointRecord) -> None:
    before, template = fronts(machine), set(templates(machine))
    os.kill(next(iter(machine.controllers())), signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), "the controller is gone")
    record = scaled(machine, machine.client.endpoint("echo"), 3)
    assert fronts(machine) > before
    assert set(templates(machine)) == template
    assert len(loaded_by(record)) == 1


def test_a_killed_replica_is_forked_again(machine: Machine, preloaded: EndpointRecord) -> None:
    (before,) = loaded_by(preloaded)
    victim = min(fronts(machine))
    with Load(preloaded.status.scoring_uri, clients=2) as load:
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(fronts(machine) - {victim}) == 2, "its successor runs")
        wait_until(lambda: machine.client.endpoint("echo").status.versions["echo"].replicas_ready == 2, "it serves")
    assert load.failed == 0, load.results
    assert loaded_by(preloaded) == {before}


def test_another_revision_has_a_zygote_of_its_own_and_the_old_one_ends_with_the_endpoint(
    machine: Machine, preloaded: EndpointRecord
) -> None:
    (before,) = loaded_by(preloaded)
    version = preloaded.spec.versions["echo"].model_copy(update={"reload": 1})
    record = machine.settle(machine.client.replace(preloaded.spec.model_copy(update={"versions": {"echo": version}})))
    assert len(loaded_by(record) - {before}) == 1
    machine.client.delete("echo")
    wait_until(lambda: not templates(machine), "all templates are gone")
    assert not list((machine.directory / "control" / "replicas").iterdir())


def test_when_forking_is_unsafe_preloading_is_off_and_each_replica_runs_init(machine: Machine) -> None:
    script = SLOW_START.replace("global loaded", "global loaded, thread").replace(
        "print(", "import threading; thread = threading.Thread(target=time.sleep, args=(600,), daemon=True);"
        " thread.start(); print("
    )  # fmt: skip
    record = machine.healthy(machine.spec(script=script, preload=True, scaling={"replicas": 2}, limits=WAITING))
    answers = [httpx.post(record.status.scoring_uri).json() for _ in range(10)]
    assert all(answer["loaded"] == answer["pid"] for answer in answers)
    assert "preloading is off" in machine.client.logs("echo")


def test_another_python_is_preloaded_as_well(machine: Machine, tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.symlink_to(sys.executable)  # another interpreter by its path: the front then starts the worker by file
    record = machine.healthy(
        machine.spec(script=SLOW_START, preload=True, interpreter=str(other), scaling={"replicas": 2}, limits=WAITING)
    )
    assert len(loaded_by(record)) == 1
