"""The status of an endpoint tells what requests meet: it follows the plan that the router has, not one to come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mljupyter.engine.endpoints.actions import PlannedVersion
from mljupyter.engine.endpoints.status import endpoint_status
from mljupyter.engine.replicas.replica_plan import DesiredVersion, ReplicaObservation, ReplicaPlan
from mljupyter.engine.rollout.traffic import Split
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState, EndpointStatus, Problem, ReplicaPhase

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


def ready(revision: str) -> ReplicaObservation:
    """Return a replica of a revision that is ready."""
    return ReplicaObservation(revision, revision, ReplicaPhase.READY, version="iris", pid=1)


@pytest.mark.parametrize(
    ("plan", "state"),
    [
        (ReplicaPlan(revision="new", routed=("new",), drain=("old",), complete=True), EndpointState.HEALTHY),
        # The new replica has become ready after the plan was made: requests still go to the old one.
        (ReplicaPlan(revision="new", routed=("old",)), EndpointState.TRANSITIONING),
        (ReplicaPlan(revision="new"), EndpointState.TRANSITIONING),
    ],
)
def test_an_endpoint_is_healthy_when_all_its_requests_go_to_the_wanted_revision(plan, state) -> None:
    status = endpoint_status(
        RECORD,
        [PlannedVersion("iris", SPEC.versions["iris"], DesiredVersion("new", replicas=1), plan)],
        [ready("old"), ready("new")],
        Split({"iris": 100}, "iris"),
        base="http://localhost:1/iris",
    )
    assert status.state is state


@pytest.mark.parametrize(
    ("code", "replicas", "state"),
    [
        ("Unschedulable", [], EndpointState.UNSCHEDULABLE),
        ("ReplicaNotCreated", [], EndpointState.UNSCHEDULABLE),
        # These pass by themselves.
        ("NodesAreAdded", [], EndpointState.TRANSITIONING),
        ("FailedMount", [], EndpointState.TRANSITIONING),
        ("Unschedulable", [ready("new")], EndpointState.TRANSITIONING),
    ],
)
def test_a_replica_that_its_target_has_no_place_for_is_a_problem_and_without_another_one_the_state(
    code: str, replicas: list[ReplicaObservation], state: EndpointState
) -> None:
    problem = Problem(code=code, message="there is a reason.")
    waiting = ReplicaObservation("waiting", "new", ReplicaPhase.STARTING, version="iris", obstacle=problem)
    status = endpoint_status(
        RECORD,
        [PlannedVersion("iris", SPEC.versions["iris"], DesiredVersion("new", replicas=2), ReplicaPlan(revision="new"))],
        [*replicas, waiting],
        Split({"iris": 100}, "iris"),
        base="http://localhost:1/iris",
    )
    assert status.versions["iris"].problem == problem
    assert status.state is state


def test_what_kept_replicas_of_an_earlier_revision_from_starting_is_no_problem_any_more() -> None:
    problem = Problem(code="Unschedulable", message="there is no room.")
    leaving = ReplicaObservation("leaving", "old", ReplicaPhase.STARTING, version="iris", obstacle=problem)
    coming = ReplicaObservation("coming", "new", ReplicaPhase.STARTING, version="iris")
    status = endpoint_status(
        RECORD,
        [PlannedVersion("iris", SPEC.versions["iris"], DesiredVersion("new", replicas=1), ReplicaPlan(revision="new"))],
        [leaving, coming],
        Split({"iris": 100}, "iris"),
        base="http://localhost:1/iris",
    )
    assert status.versions["iris"].problem is None
    assert status.state is EndpointState.TRANSITIONING
