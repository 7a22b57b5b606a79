"""Processes that are killed, stopped and replaced under the steady load of twenty clients."""

from __future__ import annotations

import os
import signal
import threading
import time

import httpx
import pytest

from mljupyter.spec import Authentication, EndpointKind, EndpointRecord, EndpointState
from tests.fault_table import Fault
from tests.steady_load import REQUESTS_ON, SteadyLoad
from tests.system.conftest import Machine
from tests.system.targets import Target
from tests.system.test_scale_to_zero import WAKES_SLOWLY, asleep, may_sleep
from tests.system.test_versions import MANY, WHO, answers, changed, close, endpoint
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
MID_REQUEST = WHO.replace("return", "import time; time.sleep(0.005); return")
SPREAD = {"maxConcurrentRequests": 4, "maxQueueWaitMs": 20_000}


def only(found: dict[int, list[str]]) -> int:
    assert len(found) == 1, found
    return next(iter(found))


def replicas(record: EndpointRecord) -> set[str]:
    return {replica.id for version in record.status.versions.values() for replica in version.replicas}


@pytest.mark.faults(1, "kill -9 of the router")
def test_a_killed_router_costs_only_what_was_open_and_is_back_within_a_second(machine: Machine, fault: Fault) -> None:
    keyed = machine.spec(authentication=Authentication.KEY, limits=MANY)
    uri = str(machine.healthy(keyed).status.scoring_uri)
    local = machine.healthy(machine.spec(name="local", kind=EndpointKind.LOCAL))
    before = set(machine.replicas())
    gaps = []
    with SteadyLoad(uri, key=machine.client.keys("echo")[0]) as load:
        fault.under(load)
        for _ in range(3):  # of several, since other programs may have the processors for a moment
            load.runs()
            known, victim = len(load.failures), only(machine.routers())
            killed = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: machine.routers().keys() - {victim}, "the router is back")
            load.runs()
            new = load.failures[known:]
            assert new, "requests that were open must have failed"
            assert sum(failure.sent < killed for failure in new) <= load.clients
            gaps.append(max(failure.at for failure in new) - killed)
            load.runs()
            assert len(load.failures) == known + len(new), "once it is back, nothing fails"
    fault.recovered(min(gaps))
    assert min(gaps) < promised(1.0), gaps
    assert httpx.post(str(local.status.scoring_uri)).status_code == 200
    assert httpx.post(uri).status_code == 401
    assert set(machine.replicas()) == before


@pytest.mark.faults(2, "router replaced by another one, three times")
def test_a_replaced_router_costs_no_request(machine: Machine, fault: Fault) -> None:
    slow = machine.spec("slow", "import time\ndef init(): pass\ndef run(data): time.sleep(float(data)); return 'done'")
    slow_uri = str(machine.healthy(slow).status.scoring_uri)
    keyed = machine.spec(authentication=Authentication.KEY, limits=MANY)
    uri = str(machine.healthy(keyed).status.scoring_uri)
    on_a_port = machine.spec(name="local", kind=EndpointKind.LOCAL, limits=MANY)
    local = str(machine.healthy(on_a_port).status.scoring_uri)
    key = machine.client.keys("echo")[0]
    with SteadyLoad(uri, key=key) as load, SteadyLoad(local, clients=2, one_shot=2, requests=0) as at_local:
        fault.under(load, at_local)
        with SteadyLoad(slow_uri, body="3", clients=1, one_shot=1, requests=1, most=1) as open_before:
            fault.under(open_before)
            wait_until(lambda: machine.client.router(), "the controller answers")
            for _ in range(3):
                load.runs()
                before, began = only_router(machine), time.monotonic()
                machine.client.replace_router()
                fault.recovered(time.monotonic() - began, "until replaced")
                assert only_router(machine) != before
                machine.client.regenerate_key("echo", "secondary")  # the other one follows what is changed
        load.runs()
    assert (load.failed, at_local.failed, open_before.failed) == (0, 0, 0), (load.failures, at_local.failures)
    wait_until(lambda: len(machine.routers()) == 1, "the routers before have ended")
    assert httpx.post(uri, headers={"authorization": f"Bearer {key}"}).status_code == 200


@pytest.mark.faults(2, "router replaced while a request wakes a version that sleeps")
def test_a_request_to_the_replaced_router_still_wakes_a_version(machine: Machine, fault: Fault) -> None:
    spec = machine.spec(script=WAKES_SLOWLY, scaling=may_sleep())
    uri = str(machine.healthy(spec).status.scoring_uri)
    with httpx.Client() as client:
        assert client.post(uri).status_code == 200
        asleep(machine)
        # A connection to the router that is going to be replaced; nobody is woken by what the router answers itself.
        assert client.get(str(httpx.URL(uri).join("/nothing"))).status_code == 404
        before = only_router(machine)
        replacing = threading.Thread(target=machine.client.replace_router)
        replacing.start()
        wait_until(lambda: only_router(machine) != before, "the other one takes over")
        began = time.monotonic()
        assert not machine.replicas()
        answer = client.post(uri)
        fault.answered(1, answer.status_code != 200)
        fault.recovered(time.monotonic() - began, "until answered")
        replacing.join()
    assert answer.status_code == 200, answer.text


def only_router(machine: Machine) -> int:
    found = machine.client.ensure()["router"]["pid"]
    assert isinstance(found, int)
    return found


@pytest.mark.faults(3, "kill -9 of one of three replicas, twice")
def test_a_killed_replica_costs_no_request_and_is_replaced(machine: Machine, target: Target, fault: Fault) -> None:
    spec = endpoint(target, {"aaa": 0})
    spec = changed(spec, "aaa", scaling={"replicas": 3}, limits=SPREAD, **target.runs(MID_REQUEST))
    record = machine.healthy(spec)
    took = []
    with SteadyLoad(str(record.status.scoring_uri), requests=REQUESTS_ON[target.name]) as load:
        fault.under(load)
        for _ in range(2):
            load.runs()
            record = machine.client.endpoint("shared")
            victim, began = record.status.versions["aaa"].replicas[0].id, time.monotonic()
            target.signal(record, "aaa", signal.SIGKILL)

            def replaced(victim: str = victim) -> bool:
                found = machine.client.endpoint("shared")
                return victim not in replicas(found) and found.status.versions["aaa"].replicas_ready == 3

            wait_until(replaced, "three are ready again")
            took.append(time.monotonic() - began)
            load.runs()
    assert load.failed == 0, load.results
    assert machine.client.endpoint("shared").status.versions["aaa"].restarts == 2
    fault.recovered(min(took))
    assert min(took) < promised(3 if target.name == "local" else 10)


@pytest.mark.faults(4, "kill -9 of the controller")
def test_a_killed_controller_costs_no_request_and_finds_everything(
    machine: Machine, target: Target, fault: Fault
) -> None:
    spec = changed(endpoint(target, {"aaa": 0, "bbb": 30}), "aaa", scaling={"replicas": 2})
    before = machine.healthy(spec)
    running, router = target.replicas(), only(machine.routers())
    with SteadyLoad(str(before.status.scoring_uri), requests=REQUESTS_ON[target.name]) as load:
        fault.under(load)
        load.runs()
        killed = only(machine.controllers())
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: not machine.controllers(), "the controller is gone")
        load.runs(1000)
        began = time.monotonic()
        after = machine.settle(machine.client.endpoint("shared"))
        fault.recovered(time.monotonic() - began, "from the next call")
        load.runs(1000)
    assert load.failed == 0, load.results
    assert only(machine.controllers()) != killed
    assert (target.replicas(), only(machine.routers())) == (running, router)
    if target.name == "local":
        status = after.status.versions.values()
        assert {str(replica.pid) for version in status for replica in version.replicas} == running
    assert (after.spec, after.generation, after.status.state) == (before.spec, 1, EndpointState.HEALTHY)
    assert replicas(after) == replicas(before)
    assert {name: item.weight for name, item in after.status.versions.items()} == {"aaa": 70, "bbb": 30}
    close(answers(str(after.status.scoring_uri), 1000), {"aaa": 70, "bbb": 30}, points=8)
