"""The status of an endpoint tells what requests meet: it follows the plan that the router has, not one to come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mljupyter.controller.endpoints.desired import Goal
from mljupyter.controller.endpoints.observation import endpoint_status
from mljupyter.controller.endpoints.supervisor import Watched
from mljupyter.engine.replicas.replica_plan import Plan, VersionGoal
from mljupyter.engine.rollout.traffic import Split
from mljupyter.runtimes.base import RunningReplica
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState, EndpointStatus, LivenessProbe, ReplicaPhase

SPEC = EndpointSpec.parse(
    {
        "name": "iris",
        "defaultVersion": "iris",
        "versions": {"iris": {"code": {"digest": "sha256:" + "a" * 64, "entryScript": "score.py"}}},
    }
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RECORD = EndpointRecord(
    spec=SPEC, status=EndpointStatus(), generation=3, resource_version=3, created_time=NOW, updated_time=NOW
)


def ready(revision: str) -> Watched:
    """Return a replica of a revision that is ready."""
    replica = RunningReplica(revision, "iris", "iris", revision, "local", f"unix:/{revision}", 1, 0.0)
    return Watched(replica, LivenessProbe(), grace=1, since=0.0, phase=ReplicaPhase.READY)


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        (Plan(revision="new", routed=("new",), drain=("old",), complete=True), EndpointState.HEALTHY),
        # The new replica has become ready after the plan was made: requests still go to the old one.
        (Plan(revision="new", routed=("old",)), EndpointState.TRANSITIONING),
        (Plan(revision="new"), EndpointState.TRANSITIONING),
    ],
)
def test_an_endpoint_is_healthy_when_all_its_requests_go_to_the_wanted_revision(plan, state) -> None:
    status = endpoint_status(
        RECORD,
        {"iris": (SPEC.versions["iris"], Goal(VersionGoal("new", replicas=1)), plan)},
        [ready("old"), ready("new")],
        Split({"iris": 100}, "iris"),
        base="http://localhost:1/iris",
    )
    assert status.state is state
