"""Which changes need new replicas."""

from __future__ import annotations

import pytest

from mljupyter.engine.endpoints.status import endpoint_state, version_state
from mljupyter.engine.replicas.revision import revision
from mljupyter.spec import EndpointState, VersionSpec

BASE = {"code": {"digest": "sha256:" + "a" * 64, "entryScript": "score.py"}}


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": {"replicas": 3}},
        {"trafficPercentile": 30},
        {"mirrorPercentile": 30},
        {"properties": {"a": "b"}},
        {"description": "other"},
        {"tags": {"a": "b"}},
    ],
)
def test_scaling_traffic_and_descriptions_keep_the_replicas(change: dict[str, object]) -> None:
    assert revision(VersionSpec.parse({**BASE, **change})) == revision(VersionSpec.parse(BASE))


@pytest.mark.parametrize(
    "change",
    [
        {"code": {"digest": "sha256:" + "b" * 64, "entryScript": "score.py"}},
        {"models": [{"name": "m", "version": 1, "digest": "sha256:" + "c" * 64, "entry": "m.pkl"}]},
        {"interpreter": "/usr/bin/python3"},
        {"environmentVariables": {"A": "1"}},
        {"limits": {"maxConcurrentRequests": 2}},
        {"resources": {"cpu": 2}},
        {"reload": 1},
        {"batching": True},
        {"preload": True},
        {"collectModelData": True},
    ],
)
def test_what_a_replica_is_started_from_needs_new_ones(change: dict[str, object]) -> None:
    assert revision(VersionSpec.parse({**BASE, **change})) != revision(VersionSpec.parse(BASE))


def test_another_compute_target_needs_new_replicas() -> None:
    assert revision(VersionSpec.parse(BASE), "docker") != revision(VersionSpec.parse(BASE), "local")


@pytest.mark.parametrize(
    ("ready", "routed", "ready_revision", "failed_revision", "impaired", "expected"),
    [
        (0, False, None, None, False, EndpointState.TRANSITIONING),
        (1, True, None, None, False, EndpointState.TRANSITIONING),
        (1, True, None, None, True, EndpointState.TRANSITIONING),
        (2, True, None, None, False, EndpointState.HEALTHY),
        (2, False, None, None, False, EndpointState.TRANSITIONING),
        (1, True, "new", None, True, EndpointState.UNHEALTHY),
        (1, True, "new", None, False, EndpointState.TRANSITIONING),
        (0, False, "new", None, False, EndpointState.UNHEALTHY),
        (0, True, "old", None, True, EndpointState.TRANSITIONING),
        (0, True, "old", "new", False, EndpointState.FAILED),
        (2, True, "old", "old", False, EndpointState.HEALTHY),
    ],
)
def test_the_state_of_a_version(ready, routed, ready_revision, failed_revision, impaired, expected) -> None:
    assert (
        version_state(
            revision="new",
            wanted=2,
            ready=ready,
            routed=routed,
            ready_revision=ready_revision,
            failed_revision=failed_revision,
            impaired=impaired,
        )
        is expected
    )


def test_an_endpoint_is_as_well_as_its_worst_version() -> None:
    assert endpoint_state([EndpointState.HEALTHY, EndpointState.FAILED]) is EndpointState.FAILED
    assert endpoint_state([EndpointState.HEALTHY, EndpointState.TRANSITIONING]) is EndpointState.TRANSITIONING
    assert endpoint_state([EndpointState.HEALTHY]) is EndpointState.HEALTHY
    assert endpoint_state([EndpointState.HEALTHY], deleting=True) is EndpointState.DELETING
