"""Changes of an endpoint under load: whatever is changed, no request is lost, and what runs is finished."""

from __future__ import annotations

import threading

import httpx
import pytest

from mljupyter.client.errors import EndpointNotFoundError
from mljupyter.spec import EndpointSpec, EndpointState
from tests.load import Load
from tests.system.conftest import Machine
from tests.system.targets import Target
from tests.system.test_versions import ONE_TARGET, answers, changed, endpoint, version, without
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
PACED = """
    import os, time

    def init():
        pass

    def run(data):
        print("began")
        time.sleep(float(data))
        return os.environ["WHO"]
    """
LONGEST_RUN = 50
"""Seconds; a request is answered with 504 after 60."""
NEVER_READY = "import time\ndef init(): time.sleep(600)\ndef run(data): return 1"


@ONE_TARGET
def test_settings_size_and_number_of_replicas_change_under_load_without_a_lost_request(
    machine: Machine, target: Target
) -> None:
    spec = endpoint(target, {"aaa": 0})
    variables = {"environmentVariables": {"WHO": "other"}}
    limits = {"limits": {"maxConcurrentRequests": 4, "maxQueueWaitMs": 20_000, "scoringTimeoutMs": 5_000}}
    with Load(machine.healthy(spec).status.scoring_uri, clients=8) as load:
        for fields in (
            variables,
            {"resources": {"cpu": 0.5, "memoryInGB": 0.25}},
            limits,
            {"scaling": {"replicas": 3}},
            {"scaling": {"replicas": 1}},
        ):
            spec = changed(spec, "aaa", **fields)
            settled = machine.settle(machine.client.replace(spec))
            assert settled.status.state is EndpointState.HEALTHY, settled.status.problem
            wait_until(lambda sent=load.sent: load.sent > sent + 200, "the load goes on")
        wait_until(lambda: len(target.replicas()) == 1, "the replicas beyond one are gone")
    assert load.failed == 0, load.results
    assert answers(settled.status.scoring_uri, 1) == ["other"]


def test_a_draining_replica_finishes_its_running_request(machine: Machine, target: Target) -> None:
    spec = changed(endpoint(target, {"aaa": 0}), "aaa", **target.runs(PACED))
    uri = machine.healthy(spec).status.scoring_uri
    old = target.replicas()
    found: list[str] = []
    seconds = min(promised(8), LONGEST_RUN)  # longer than the update takes here and now
    thread = threading.Thread(target=lambda: found.append(httpx.post(uri, content=str(seconds)).text))
    thread.start()
    wait_until(lambda: "began" in machine.client.logs("shared"), "the request runs")
    other = changed(spec, "aaa", environmentVariables={"WHO": "new"})
    machine.settle(machine.client.replace(other))
    assert answers(uri, 8, data=b"0") == ["new"] * 8
    assert old <= target.replicas()  # it still runs what it had begun
    thread.join()
    assert found == ['"aaa"']
    wait_until(lambda: not old & target.replicas(), "the old replica has left")


def test_the_other_key_passes_while_one_is_regenerated_again_and_again(machine: Machine) -> None:
    record = machine.healthy(machine.spec(authentication="key", limits={"maxConcurrentRequests": 4}))
    primary, _ = machine.client.keys("echo")
    with Load(record.status.scoring_uri, key=primary) as load:
        for _ in range(10):
            machine.client.regenerate_key("echo", "secondary")
            wait_until(lambda sent=load.sent: load.sent > sent + 50, "the load goes on")
    assert load.failed == 0, load.results


def test_a_version_that_still_starts_can_be_deleted_and_so_can_its_endpoint(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 0})
    uri = machine.healthy(spec).status.scoring_uri
    adding = changed(spec, "bbb", **version("bbb", target.runs(NEVER_READY), trafficPercentile=50))
    with Load(uri) as load:
        machine.client.replace(adding)
        wait_until(lambda: len(target.replicas()) == 2, "the new version starts")
        machine.settle(machine.client.replace(without(adding, "bbb")))
        wait_until(lambda: len(target.replicas()) == 1, "its replica is gone")
        machine.client.replace(adding)
        wait_until(lambda: len(target.replicas()) == 2, "it starts again")
    assert load.failed == 0, load.results
    machine.client.delete("shared")
    assert not target.replicas()
    with pytest.raises(EndpointNotFoundError):
        machine.client.endpoint("shared")


@ONE_TARGET
def test_the_last_of_many_accepted_changes_is_what_is_there_in_the_end(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 0, "bbb": 0})
    machine.healthy(spec)
    last: list[EndpointSpec] = []
    lock = threading.Lock()

    def change(number: int) -> None:
        for step in range(5):
            with lock:  # so that the order of acceptance is known
                wanted = changed(spec, "bbb", trafficPercentile=10 * number + step)
                record = machine.client.replace(wanted)
                last.append(record.spec)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    settled = machine.settle(machine.client.endpoint("shared"))
    assert settled.spec == last[-1]
    assert settled.generation == 21
    assert settled.status.versions["bbb"].weight == last[-1].versions["bbb"].traffic_percentile
