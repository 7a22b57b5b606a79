"""Rollouts, promotions, rollbacks and history with a real controller, router and replicas."""

from __future__ import annotations

import os
import signal

import pytest

from mljupyter.client.errors import EndpointBusyError, InvalidSpecError, RolloutInProgressError, RolloutRefusedError
from mljupyter.spec import EndpointRecord, EndpointState, RolloutPhase, RolloutPlan
from tests.load import Load
from tests.system.conftest import Machine
from tests.system.targets import Target
from tests.system.test_versions import ONE_TARGET, answers, changed, close, endpoint, version, without
from tests.waiting import wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
BAD = """
    import os

    def init():
        pass

    def run(data):
        if int.from_bytes(os.urandom(1)) < 128:
            raise ValueError("half of them fail")
        return os.environ["WHO"]
    """
SLOW = BAD.replace("int.from_bytes(os.urandom(1)) < 128", "__import__('time').sleep(float(data))")


def plan(*steps: int, every: float = 0.3, **fields: object) -> RolloutPlan:
    return RolloutPlan.parse({"version": "bbb", "steps": list(steps), "everySeconds": every, **fields})


def weights(record: EndpointRecord) -> dict[str, int]:
    return {name: status.weight for name, status in record.status.versions.items()}


def in_force(machine: Machine, expected: dict[str, int]) -> None:
    wait_until(
        lambda: weights(machine.client.endpoint("shared")) == expected,
        f"requests are divided as {expected}",
    )


def ended(machine: Machine) -> EndpointRecord:
    def look() -> EndpointRecord | None:
        record = machine.client.endpoint("shared")
        return record if record.rollout is not None and not record.rollout.active else None

    return wait_until(look, "the rollout ends")


@ONE_TARGET
def test_a_version_that_keeps_the_guard_gets_all_requests_step_by_step_and_none_is_lost(
    machine: Machine, target: Target
) -> None:
    spec = changed(endpoint(target, {"aaa": 0, "bbb": 0, "ccc": 30}), "bbb", **target.runs(SLOW))
    uri = machine.healthy(spec).status.scoring_uri
    seen: list[tuple[int, int]] = []
    with Load(uri, body=b"0.002") as load:  # the router measures in whole milliseconds
        wanted = plan(10, 60, 100, every=2, guard="p95<5s, errors<5%", leastRequests=10, promote=True)
        seen.append((machine.client.start_rollout("shared", wanted).rollout.share, 0))
        while (record := machine.client.endpoint("shared")).rollout.active:
            record = machine.client.watch("shared", record.resource_version, 5)
            seen.append((record.rollout.share, weights(record)["bbb"]))
        in_force(machine, {"aaa": 0, "bbb": 100, "ccc": 0})
    assert load.failed == 0, load.results
    assert {share for share, _ in seen} == {10, 60, 100}
    assert all(weight <= share for share, weight in seen)
    record = machine.client.endpoint("shared")
    assert record.rollout.phase is RolloutPhase.COMPLETED
    assert (record.spec.default_version, record.spec.control) == ("bbb", "bbb")
    assert set(answers(uri, 50, data=b"0")) == {"bbb"}
    assert record.rollout.requests >= 10
    assert record.rollout.values["p95"] >= 2


@ONE_TARGET
def test_a_version_that_breaks_the_guard_is_taken_back_at_once(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 60, "bbb": 0, "ccc": 30})
    spec = changed(spec, "bbb", **target.runs(BAD), mirrorPercentile=20)
    record = machine.healthy(spec)
    with Load(record.status.scoring_uri):
        machine.client.start_rollout("shared", plan(50, 100, every=600, guard="errors<10%", leastRequests=20))
        record = ended(machine)
    assert record.rollout.phase is RolloutPhase.RETURNED
    assert "the guard is errors<10%" in record.rollout.reason
    assert record.rollout.step == 0
    assert record.spec == machine.client.endpoint("shared").spec == spec
    assert record.generation == 1
    in_force(machine, {"aaa": 70, "bbb": 0, "ccc": 30})
    assert set(answers(record.status.scoring_uri, 100)) == {"aaa", "ccc"}


@ONE_TARGET
def test_the_guard_uses_only_latencies_of_the_current_step_as_measured_by_the_router(
    machine: Machine, target: Target
) -> None:
    spec = endpoint(target, {"aaa": 0, "bbb": 0})
    record = machine.healthy(changed(spec, "bbb", **target.runs(SLOW)))
    uri = record.status.scoring_uri
    header = {"azureml-model-deployment": "bbb"}
    assert answers(uri, 20, 10, lambda _: header, b"2.5") == ["bbb"] * 20  # before the rollout: they do not count
    machine.client.start_rollout("shared", plan(50, every=0.2, guard="p90<2000ms", leastRequests=40))
    answers(uri, 40, 4, lambda _: header, b"0")
    record = ended(machine)
    assert record.rollout.phase is RolloutPhase.COMPLETED, record.rollout.text()
    assert record.rollout.requests == 40
    assert weights(machine.settle(record)) == {"aaa": 50, "bbb": 50}
    machine.client.start_rollout("shared", plan(60, every=600, guard="p90<2000ms", leastRequests=20))
    answers(uri, 20, 10, lambda _: header, b"2.5")
    record = ended(machine)
    assert record.rollout.phase is RolloutPhase.RETURNED
    assert "p90 is 2" in record.rollout.reason
    in_force(machine, {"aaa": 50, "bbb": 50})


def test_a_version_without_a_ready_replica_is_taken_back(machine: Machine, target: Target) -> None:
    record = machine.healthy(endpoint(target, {"aaa": 0, "bbb": 0}))
    with Load(record.status.scoring_uri) as load:
        machine.client.start_rollout("shared", plan(50, every=600))
        in_force(machine, {"aaa": 50, "bbb": 50})
        target.signal(record, "bbb", signal.SIGKILL)
        record = ended(machine)
        in_force(machine, {"aaa": 100, "bbb": 0})
    assert load.failed == 0, load.results
    assert "no ready replica" in record.rollout.reason


def test_a_killed_controller_goes_on_from_the_step_it_was_in(machine: Machine, target: Target) -> None:
    record = machine.healthy(endpoint(target, {"aaa": 0, "bbb": 0}))
    uri = record.status.scoring_uri
    header = {"azureml-model-deployment": "bbb"}
    machine.client.start_rollout("shared", plan(20, 70, guard="errors<50%", leastRequests=10))
    answers(uri, 10, 1, lambda _: header)  # the second step waits for ten requests of its own
    wait_until(lambda: machine.client.endpoint("shared").rollout.step == 1, "the second step")
    machine.client.control_rollout("shared", "pause")
    with Load(uri) as load:
        in_force(machine, {"aaa": 30, "bbb": 70})
        (controller,) = machine.controllers()
        os.kill(controller, signal.SIGKILL)
        wait_until(lambda: not machine.controllers(), "the controller is gone")
        record = machine.client.endpoint("shared")
        assert (record.rollout.step, record.rollout.phase) == (1, RolloutPhase.PAUSED)
        close(answers(uri, 500), {"aaa": 30, "bbb": 70}, points=12)
        machine.client.control_rollout("shared", "resume")
        assert ended(machine).rollout.phase is RolloutPhase.COMPLETED
    assert load.failed == 0, load.results
    assert machine.client.endpoint("shared").spec.versions["bbb"].traffic_percentile == 70


@ONE_TARGET
def test_requests_of_a_step_are_counted_across_a_restart_of_the_controller(machine: Machine, target: Target) -> None:
    uri = machine.healthy(endpoint(target, {"aaa": 0, "bbb": 0})).status.scoring_uri
    header = {"azureml-model-deployment": "bbb"}
    machine.client.start_rollout("shared", plan(10, every=0.2, guard="errors<50%", leastRequests=100))
    answers(uri, 60, header=lambda _: header)
    wait_until(lambda: machine.client.endpoint("shared").rollout.requests == 60, "requests are counted")
    (controller,) = machine.controllers()
    os.kill(controller, signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), "the controller is gone")
    answers(uri, 30, header=lambda _: header)  # while nobody looks
    wait_until(lambda: machine.client.endpoint("shared").rollout.requests == 90, "those are counted, too")
    rollout = machine.client.endpoint("shared").rollout
    assert (rollout.phase, rollout.reason) == (RolloutPhase.RUNNING, "waits for 100 requests to judge")
    answers(uri, 10, header=lambda _: header)
    assert ended(machine).rollout.requests == 100


@ONE_TARGET
def test_changes_that_conflict_with_a_rollout_are_refused_others_are_accepted(machine: Machine, target: Target) -> None:
    record = machine.healthy(endpoint(target, {"aaa": 0, "bbb": 0}))
    spec = record.spec
    machine.client.start_rollout("shared", plan(20, every=600))
    other_code = target.runs(BAD)
    for other in (
        changed(spec, "bbb", trafficPercentile=50),
        changed(spec, "aaa", **other_code),
        changed(spec, "ccc", **version("ccc", other_code)),
        without(spec, "bbb"),
        spec.model_copy(update={"default_version": "bbb"}),
    ):
        with pytest.raises(
            RolloutInProgressError, match=r"'bbb' of 'shared' is Running at 20 %(.|\n)*--abort"
        ) as caught:
            machine.client.replace(other)
        assert isinstance(caught.value, EndpointBusyError)
        assert caught.value.status_code == 409
    for call in (
        lambda: machine.client.start_rollout("shared", plan(50)),
        lambda: machine.client.promote("shared", "bbb"),
    ):
        with pytest.raises(RolloutInProgressError):
            call()
    assert machine.client.endpoint("shared").rollout.active
    tagged = machine.settle(machine.client.replace(spec.model_copy(update={"tags": {"a": "b"}})))
    assert tagged.rollout.active
    assert weights(tagged) == {"aaa": 80, "bbb": 20}

    record = machine.client.control_rollout("shared", "abort")
    assert record.rollout.phase is RolloutPhase.ABORTED
    assert record.rollout.reason.startswith("aborted by ")
    in_force(machine, {"aaa": 100, "bbb": 0})
    assert machine.client.replace(changed(spec, "bbb", trafficPercentile=50)).spec != spec


@ONE_TARGET
def test_deploying_anew_and_deleting_end_a_rollout(machine: Machine, target: Target) -> None:
    spec = machine.healthy(endpoint(target, {"aaa": 0, "bbb": 0})).spec
    machine.client.start_rollout("shared", plan(20, every=600))
    record = machine.settle(machine.client.create(changed(spec, "bbb", trafficPercentile=40), overwrite=True))
    assert record.rollout.phase is RolloutPhase.ABORTED
    assert record.rollout.reason == "the endpoint was deployed again"
    assert weights(record) == {"aaa": 60, "bbb": 40}
    machine.client.start_rollout("shared", plan(50, every=600))
    machine.client.delete("shared")
    assert machine.client.endpoints() == []
    assert machine.healthy(spec).rollout is None
    assert [entry.action for entry in machine.client.history("shared")] == ["created"]


@ONE_TARGET
def test_what_cannot_be_rolled_out_is_refused_with_the_reason(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 0, "bbb": 40})
    broken = version("ccc", target.runs("def init(): raise ValueError()\ndef run(data): return 1"))
    record = machine.settle(machine.client.create(changed(spec, "ccc", **broken)))
    assert record.status.state is EndpointState.FAILED
    for wanted, kind, message in (
        (plan(10), RolloutRefusedError, "has 40 % of the requests, and the first step is 10"),
        (plan(50, version="aaa"), RolloutRefusedError, "is the default version"),
        (plan(50, version="ccc"), RolloutRefusedError, "is Failed: a rollout begins with a version that is Healthy"),
        (plan(50, version="ddd"), InvalidSpecError, "has no version 'ddd'. It has aaa, bbb, ccc"),
    ):
        with pytest.raises(kind, match=message):
            machine.client.start_rollout("shared", wanted)
    with pytest.raises(RolloutRefusedError, match="no rollout that is Paused; there was none yet"):
        machine.client.control_rollout("shared", "resume")


@ONE_TARGET
def test_promotion_rollback_and_history(machine: Machine, target: Target) -> None:
    spec = machine.healthy(endpoint(target, {"aaa": 0, "bbb": 10})).spec
    with pytest.raises(RolloutRefusedError, match="no earlier state to roll back to"):
        machine.client.rollback("shared")
    machine.settle(machine.client.promote("shared", "bbb"))
    in_force(machine, {"aaa": 0, "bbb": 100})
    machine.settle(machine.client.rollback("shared"))
    assert machine.client.endpoint("shared").spec == spec
    in_force(machine, {"aaa": 90, "bbb": 10})
    again = machine.client.rollback("shared")  # takes the first one back
    assert again.spec.default_version == "bbb"
    third = machine.client.rollback("shared", 1, generation=again.generation)
    assert third.spec == spec
    with pytest.raises(InvalidSpecError, match="has no entry 9: it has 1 to 5"):
        machine.client.rollback("shared", 9)
    with pytest.raises(EndpointBusyError, match="was changed by another operation"):
        machine.client.rollback("shared", 2, generation=again.generation)
    history = machine.client.history("shared")
    assert [entry.action for entry in history] == [
        "created",
        "promoted bbb",
        "rolled back to 1",
        "rolled back to 2",
        "rolled back to 1",
    ]
    assert history[1].changes == [
        "defaultVersion: aaa → bbb",
        "versions.bbb.trafficPercentile: 10 → 0",
    ]
    assert all(entry.user for entry in history)
    assert [entry.number for entry in history] == [1, 2, 3, 4, 5]
    assert history[0].time <= history[-1].time


@ONE_TARGET
def test_a_rollback_during_a_rollout_aborts_it(machine: Machine, target: Target) -> None:
    machine.healthy(endpoint(target, {"aaa": 0, "bbb": 0}))
    machine.client.start_rollout("shared", plan(20, every=600))
    record = machine.client.rollback("shared")
    assert record.rollout.phase is RolloutPhase.ABORTED
    assert record.generation == 1
    in_force(machine, {"aaa": 100, "bbb": 0})


def test_a_rollback_brings_back_code_that_was_replaced(machine: Machine, target: Target) -> None:
    spec = endpoint(target, {"aaa": 0})
    uri = machine.healthy(spec).status.scoring_uri
    other = changed(spec, "aaa", **target.runs("def init(): pass\ndef run(data): return 'new'"))
    with Load(uri) as load:
        machine.settle(machine.client.replace(other))
        assert set(answers(uri, 20)) == {"new"}
        record = machine.settle(machine.client.rollback("shared"))
        assert record.status.state is EndpointState.HEALTHY
        assert set(answers(uri, 20)) == {"aaa"}
    assert load.failed == 0, load.results
