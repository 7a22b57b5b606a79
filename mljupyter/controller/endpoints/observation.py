"""From plans and replicas to the status that users see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mljupyter.controller.endpoints.desired import Goal
from mljupyter.controller.endpoints.supervisor import Watched
from mljupyter.engine.replicas.replica_plan import Crashes, Plan, VersionGoal
from mljupyter.engine.replicas.state import endpoint_state, version_state
from mljupyter.engine.rollout.traffic import Split
from mljupyter.spec import (
    CertificateStatus,
    EndpointRecord,
    EndpointState,
    EndpointStatus,
    Problem,
    ReplicaPhase,
    ReplicaStatus,
    VersionSpec,
    VersionStatus,
)

UNSCHEDULABLE = "Unschedulable"


@dataclass
class Memory:
    """What the controller remembers of a version's crashes, for as long as it lives."""

    crashes: Crashes = field(default_factory=Crashes)

    def crashed(self, now: float, *, lived_well: bool) -> None:
        """Count a crash; one after a good while starts the count anew."""
        count = 1 if lived_well else self.crashes.in_a_row + 1
        self.crashes = Crashes(in_a_row=count, last=now)


def problem_of(watched: Watched, *, never_ready: bool) -> Problem:
    """Return what a replica's end tells the user."""
    return Problem(
        code="ReplicaStartFailed" if never_ready else "ReplicaCrashed",
        message=f"replica {watched.replica.id} {watched.ending()}.",
        last_lines=watched.last_lines,
    )


def endpoint_status(
    record: EndpointRecord,
    plans: Mapping[str, tuple[VersionSpec, Goal, Plan]],
    watched: Sequence[Watched],
    division: Split,
    *,
    base: str,
    certificate: tuple[CertificateStatus | None, Problem | None] = (None, None),
    router: Problem | None = None,
    storage: Problem | None = None,
) -> EndpointStatus:
    """Return the status of an endpoint whose plans are in force.

    Parameters:
        record: the endpoint, with what was learned of replicas that ended.
        plans: spec, goal and plan of every version wanted.
        watched: the endpoint's replicas.
        division: how requests are divided.
        base: the URI that its paths stand under.
        certificate: the one it is served with, and what is wrong with it.
        router: what keeps the router from passing requests on.
        storage: what is wrong with the controller's database.

    """
    versions = {}
    for name, (spec, wanted, plan) in plans.items():
        mine = [item for item in watched if item.replica.version == name]
        before = record.status.versions.get(name, VersionStatus())
        versions[name] = _version_status(before, wanted.goal, plan, mine, division.weights.get(name, 0))
        if wanted.shortage is not None:
            versions[name] = _short_of_room(versions[name], spec, wanted.shortage)
        versions[name] = _with_silent_replicas(versions[name], mine)
    state = endpoint_state((version.state for version in versions.values()), deleting=record.deleting)
    problems = [
        problem
        for problem in (*(one.problem for one in versions.values()), certificate[1], storage)
        if problem is not None
    ]
    status = EndpointStatus(
        state=state,
        observed_generation=record.generation,
        scoring_uri=f"{base}/score",
        swagger_uri=f"{base}/swagger.json",
        default_version=division.default,
        versions=versions,
        certificate=certificate[0],
        problem=problems[0] if problems else None,
    )
    return failing(status, router) if router is not None else status


def failing(status: EndpointStatus, problem: Problem) -> EndpointStatus:
    """Return the status of an endpoint whose requests fail for a reason outside of its versions."""
    state = EndpointState.UNHEALTHY if status.state is EndpointState.HEALTHY else status.state
    return status.model_copy(update={"state": state, "problem": problem})


def _version_status(
    before: VersionStatus, goal: VersionGoal, plan: Plan, watched: Sequence[Watched], weight: int
) -> VersionStatus:
    wanted = goal.revision
    reached = plan.complete and plan.revision == wanted
    ready = [
        item
        for item in watched
        if item.phase is ReplicaPhase.READY and item.replica.revision == plan.revision and item.silence is None
    ]
    ready_revision = wanted if reached else before.ready_revision
    problem = None if reached or (before.problem and before.problem.code == UNSCHEDULABLE) else before.problem
    return VersionStatus(
        state=version_state(
            revision=wanted,
            wanted=goal.replicas,
            ready=len(ready) if plan.revision == wanted else 0,
            # A replica may have become ready since the plan was made: requests still go where the plan sends them.
            routed=reached and bool(plan.routed),
            ready_revision=ready_revision,
            failed_revision=before.failed_revision,
            waking=plan.waiting and problem is None,
        ),
        revision=wanted,
        replicas_wanted=goal.replicas,
        replicas_ready=len(ready),
        weight=weight,
        replicas=[_replica_status(item) for item in sorted(watched, key=lambda item: item.replica.id)],
        restarts=before.restarts,
        ready_revision=ready_revision,
        failed_revision=before.failed_revision,
        problem=problem,
    )


def _with_silent_replicas(status: VersionStatus, watched: Sequence[Watched]) -> VersionStatus:
    """Return the status of a version whose replicas may run without being reached."""
    silent = [(item.replica.id, item.silence) for item in watched if item.silence is not None]
    if not silent or status.replicas_ready >= status.replicas_wanted:
        return status
    replica_id, silence = silent[0]
    problem = Problem(code="ReplicaUnreachable", message=f"replica {replica_id} {silence}.")
    state = EndpointState.UNHEALTHY if status.state is EndpointState.HEALTHY else status.state
    return status.model_copy(update={"state": state, "problem": status.problem or problem})


def _short_of_room(status: VersionStatus, spec: VersionSpec, shortage: str) -> VersionStatus:
    """Return the status of a version for whose replicas there is not enough room on its machine.

    One that has all replicas it should always have, and would have more for its load, is as healthy as before.
    """
    problem = Problem(code=UNSCHEDULABLE, message=f"{shortage}.")
    if status.replicas_wanted >= spec.scaling.least_replicas and status.replicas_wanted:
        return status.model_copy(update={"problem": status.problem or problem})
    if status.state is EndpointState.FAILED:
        return status
    return status.model_copy(update={"state": EndpointState.UNSCHEDULABLE, "problem": problem})


def _replica_status(watched: Watched) -> ReplicaStatus:
    replica = watched.replica
    return ReplicaStatus(
        id=replica.id,
        phase=watched.phase,
        revision=replica.revision,
        pid=replica.pid,
        started_time=datetime.fromtimestamp(replica.started_time, UTC),
    )
