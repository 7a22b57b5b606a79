"""The autoscaling state of a version: what its numbers of replicas follow from, without a router and a clock."""

from __future__ import annotations

import pytest

from mljupyter.engine.scaling.demand import Reading
from mljupyter.engine.scaling.version_scaler import ASLEEP_EVERY, VersionScaler, claim_of
from mljupyter.spec import AutoscalePolicy, EndpointSpec, VersionSpec

POLICY = AutoscalePolicy(min_replicas=0, max_replicas=4, scale_to_zero_seconds=60)
SPEC = EndpointSpec.parse(
    {
        "name": "iris",
        "defaultVersion": "iris",
        "versions": {"iris": {"code": {"digest": "sha256:" + "a" * 64, "entryScript": "score.py"}}},
    }
).versions["iris"]
MIRROR = SPEC.model_copy(update={"mirror_percentile": 10})


def look(scaler: VersionScaler, at: float, active: int, spec: VersionSpec = SPEC) -> int:
    scaler.look({"iris.iris": Reading(at, active)}, spec, POLICY, at)
    return scaler.wanted


def test_requests_that_wait_wake_a_version_without_replicas_and_it_sleeps_again_when_none_come() -> None:
    scaler = VersionScaler.begin(POLICY, running=0, now=0.0)
    assert look(scaler, 1.0, active=0) == 0
    assert look(scaler, 2.0, active=1) > 0
    assert look(scaler, 30.0, active=0) > 0
    assert look(scaler, 100.0, active=0) == 0
    assert scaler.look_at - 100.0 <= ASLEEP_EVERY


def test_a_version_keeps_one_replica_until_it_was_ready_once() -> None:
    scaler = VersionScaler.begin(POLICY, running=0, now=0.0)
    assert scaler.keep_awake(SPEC, 1.0, proven=True) == 0
    assert scaler.keep_awake(SPEC, 1.0, proven=False) == 1


def test_a_mirror_keeps_one_replica_since_copies_wake_no_version() -> None:
    assert VersionScaler.begin(POLICY, running=0, now=0.0).keep_awake(MIRROR, 1.0, proven=True) == 1
    assert claim_of("iris", "iris", MIRROR, wanted=2, running=0).least == 1


def test_the_number_begins_with_the_replicas_that_run_within_the_bounds() -> None:
    assert [VersionScaler.begin(POLICY, running, 0.0).wanted for running in (0, 3, 9)] == [0, 3, 4]


def test_a_version_rests_at_its_minimum_when_two_readings_have_no_requests() -> None:
    policy = AutoscalePolicy(min_replicas=1, max_replicas=4)
    scaler = VersionScaler.begin(policy, running=1, now=0.0)
    for at, active, finished, rests in ((1, 0, 0, False), (2, 0, 0, True), (3, 0, 5, False), (4, 1, 5, False)):
        reading = Reading(at, active, finished=((0.01, finished),), seconds=finished / 100)
        scaler.look({"iris.iris": reading}, SPEC, policy, at)
        assert scaler.rests(policy) is rests, f"at {at}"


def test_a_version_above_its_minimum_does_not_rest() -> None:
    scaler = VersionScaler.begin(POLICY, running=2, now=0.0)
    for at in (1.0, 2.0, 3.0):
        look(scaler, at, active=0)
    assert not scaler.rests(POLICY)


@pytest.mark.parametrize("earlier", [(), ((1.0, 0, 7), (1.5, 0, 7))], ids=["of a controller", "of a router"])
@pytest.mark.parametrize(("present", "replicas"), [(0, 1), (1, 1), (2, 3), (10, 15)])
def test_one_request_at_the_first_reading_is_no_load_and_more_are(earlier, present, replicas) -> None:
    policy = AutoscalePolicy(min_replicas=1, max_replicas=20)
    scaler = VersionScaler.begin(policy, running=1, now=0.0)
    for at, active, finished in (*earlier, (2.0, present, 0), (2.5, present, 0)):
        reading = Reading(at, active, finished=((1.0, finished),), seconds=finished / 10)
        scaler.look({"iris.iris": reading}, SPEC, policy, at)
    assert scaler.wanted == replicas


def test_one_request_at_the_first_reading_wakes_a_version_without_replicas() -> None:
    assert look(VersionScaler.begin(POLICY, running=0, now=0.0), 1.0, active=1) == 1


def test_after_a_rest_a_load_counts_from_the_last_reading_on_and_not_from_the_begin_of_the_rest() -> None:
    policy = AutoscalePolicy(min_replicas=1, max_replicas=10, target_utilization=100)
    scaler = VersionScaler.begin(policy, running=1, now=0.0)
    for at in (1.0, 2.0):
        scaler.look({"iris.iris": Reading(at, 0, finished=((1.0, 0),))}, SPEC, policy, at)
    scaler.rested_until(1000.0, policy)
    scaler.look({"iris.iris": Reading(1001.0, 0, finished=((1.0, 10),), seconds=5.0)}, SPEC, policy, 1001.0)
    assert scaler.wanted > 1, "5 s of requests in the last second, not in the last quarter of an hour"
