"""Versions without replicas: requests wait in the router until one has started, and are then answered."""

from __future__ import annotations

import os
import signal
import threading
import time

import httpx
import pytest

from mljupyter.spec import EndpointState, VersionStatus
from tests.load import Load
from tests.system.conftest import Machine
from tests.system.test_docker import build, engine  # noqa: F401 - a fixture
from tests.system.test_docker import spec as container_spec
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
WAKES_SLOWLY = "import time\ndef init(): time.sleep(1)\ndef run(data): time.sleep(0.02); return data\n"
PATIENT = {"maxQueueWaitMs": 20_000}  # for several clients of one replica on a busy machine
NEVER_STARTS = """
import os, time
def init():
    if os.path.exists('{}'): time.sleep(600)
def run(data): return data
"""


def may_sleep(**policy: object) -> dict[str, object]:
    return {"autoscale": {"minReplicas": 0, "maxReplicas": 2, "scaleToZeroSeconds": 1, "scaleDownSeconds": 1, **policy}}


def version(machine: Machine, name: str = "echo") -> VersionStatus:
    return machine.client.endpoint(name).status.versions[name]


def asleep(machine: Machine, name: str = "echo") -> None:
    wait_until(lambda: not version(machine, name).replicas and not version(machine, name).replicas_wanted, "asleep")
    assert machine.client.endpoint(name).status.state is EndpointState.HEALTHY


def test_requests_wake_it_under_load_and_none_is_lost(machine: Machine) -> None:
    spec = machine.spec(script=WAKES_SLOWLY, scaling=may_sleep(), limits={"maxQueueWaitMs": 20_000})
    record = machine.healthy(spec)
    asleep(machine)
    wait_until(lambda: machine.replicas() == {}, "no process is left")
    for _ in range(2):
        with Load(record.status.scoring_uri, clients=8) as load:
            wait_until(lambda load=load: load.sent > 200, "it answers")
        assert load.failed == 0, (load.results, load.failures[:5])
        asleep(machine)
    reasons = [item.reason for item in machine.client.scaling_history("echo")]
    assert any("no request for 1 s" in reason for reason in reasons)
    assert any("there is no replica" in reason for reason in reasons)


def test_requests_wait_without_a_controller_and_the_next_one_wakes_it(machine: Machine) -> None:
    record = machine.healthy(machine.spec(script=WAKES_SLOWLY, scaling=may_sleep(), limits=PATIENT))
    asleep(machine)
    os.kill(next(iter(machine.controllers())), signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), "the controller is gone")
    with Load(record.status.scoring_uri, clients=4, limit=5) as load:
        machine.client.ensure()
        wait_until(lambda: load.sent == 20, "all are answered")
    assert load.failed == 0, load.results


@pytest.mark.alone
def test_requests_to_a_sleeping_version_wait_up_to_the_queue_length_and_the_wake_wait_limit(machine: Machine) -> None:
    marker = machine.directory / "marker"
    record = machine.healthy(
        machine.spec(
            script=NEVER_STARTS.format(marker),
            scaling=may_sleep(maxWakeWaitMs=5000),
            limits={"maxQueueLength": 3, "maxQueueWaitMs": 100},
        )
    )
    asleep(machine)
    marker.touch()
    answers: list[tuple[float, httpx.Response]] = []

    def ask() -> None:
        began = time.monotonic()
        answer = httpx.post(record.status.scoring_uri, content=b"x")
        answers.append((time.monotonic() - began, answer))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=HANG_SECONDS)
    assert [answer.status_code for _, answer in answers] == [503] * 8
    assert {answer.headers["retry-after"] for _, answer in answers} == {"1"}
    assert all("x-mlj-busy" not in answer.headers for _, answer in answers)
    assert {answer.json()["code"] for _, answer in answers} == {"NoReplicaReady"}
    assert sum(seconds >= 5.0 for seconds, _ in answers) == 3, "the others are refused at once"
    assert machine.client.endpoint("echo").status.state is EndpointState.TRANSITIONING


def test_a_new_revision_is_started_once_even_with_a_minimum_of_zero(machine: Machine) -> None:
    spec = machine.spec(script=WAKES_SLOWLY, scaling=may_sleep())
    machine.healthy(spec)
    asleep(machine)
    broken = machine.code("def init(): raise RuntimeError('no model')\ndef run(data): return data\n")
    changed = spec.versions["echo"].model_copy(update={"code": broken})
    record = machine.settle(machine.client.replace(spec.model_copy(update={"versions": {"echo": changed}})))
    assert record.status.state is EndpointState.FAILED
    assert httpx.post(record.status.scoring_uri, content=b"x").json() == "x", "the last good one answers"


def test_containers_sleep_and_wake_too(machine: Machine, engine) -> None:  # noqa: F811
    needed("MLJUPYTER_TEST_DOCKER")
    record = machine.client.create(container_spec(build(WAKES_SLOWLY), scaling=may_sleep(), limits=PATIENT))
    assert machine.settle(record).status.state is EndpointState.HEALTHY
    asleep(machine)
    uri = machine.client.endpoint("echo").status.scoring_uri
    assert uri is not None
    with Load(uri, key=machine.client.keys("echo")[0], clients=4) as load:
        wait_until(lambda: load.sent > 40, "it answers")
    assert load.failed == 0, (load.results, load.failures[:5])
