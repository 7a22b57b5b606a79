"""The status of an endpoint, from its plans and the replicas that were observed (Azure ML v1: Webservice states)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from mljupyter.engine.endpoints.actions import PlannedVersion
from mljupyter.engine.replicas.replica_plan import ReplicaObservation
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
NOT_CREATED = "ReplicaNotCreated"
"""The codes of the problem that a replica fits nowhere, and that its target refuses it."""
FETCHING_MODELS = "FetchingModels"
"""The code of the progress of a download of models; it changes every few seconds."""

START_FAILED, CRASHED = "ReplicaStartFailed", "ReplicaCrashed"
_REMEMBERED = (START_FAILED, CRASHED)  # until all replicas are ready again; other problems are observed each time
# The state that says most about the endpoint comes first.
_GRAVEST_FIRST = (
    EndpointState.FAILED,
    EndpointState.UNSCHEDULABLE,
    EndpointState.UNHEALTHY,
    EndpointState.TRANSITIONING,
    EndpointState.HEALTHY,
)
# The meaning of a replica's exit statuses; the texts complete "the replica ...".
_EXIT_STATUSES = {
    3: "could not start: the scoring script failed",
    4: "did not start in time: init() has not returned",
    5: "keeps crashing",
    6: "has failed: its log has the reason",
}


def ending_text(exit_status: int | None, reason: str | None = None) -> str:
    """Return the ending of a replica as text that completes "the replica ...".

    Parameters:
        exit_status: the exit status of its process; a negative number is the signal that killed it; None if unknown.
        reason: the reason, when the runtime knows more than an exit status.

    Example:
        >>> ending_text(-9), ending_text(5)
        ('was killed by signal 9', 'keeps crashing')

    """
    if reason is not None:
        return reason
    if exit_status in _EXIT_STATUSES:
        return _EXIT_STATUSES[exit_status]
    if exit_status is None:
        return "ended unexpectedly"
    return f"was killed by signal {-exit_status}" if exit_status < 0 else f"ended with exit status {exit_status}"


def after_crash(
    status: VersionStatus,
    replica: ReplicaObservation,
    desired_revision: str | None,
    *,
    ending: str,
    last_lines: Sequence[str],
    was_ready: bool,
) -> VersionStatus:
    """Return the status of a version after one of its replicas has crashed.

    A revision that crashes before it was ever ready has failed: it is not retried until the spec changes.

    Parameters:
        status: the status before.
        replica: the replica that crashed.
        desired_revision: the revision to run; None when the endpoint no longer has the version.
        ending: how the replica ended, see `ending_text`.
        last_lines: the end of its log.
        was_ready: whether the replica was ready before.

    """
    never_ready = not was_ready and status.ready_revision != replica.revision
    failed = replica.revision if never_ready and replica.revision == desired_revision else status.failed_revision
    problem = Problem(
        code=START_FAILED if never_ready else CRASHED,
        message=f"replica {replica.id} {ending}.",
        last_lines=list(last_lines),
    )
    restarts = status.restarts + (0 if never_ready else 1)
    return status.model_copy(update={"failed_revision": failed, "restarts": restarts, "problem": problem})


def after_failed_start(status: VersionStatus, revision: str | None, error: str) -> VersionStatus:
    """Return the status of a version whose replica could not be started.

    Parameters:
        status: the status before.
        revision: the revision that was to be started.
        error: the reason.

    """
    served_before = status.ready_revision is not None and status.ready_revision == revision
    failed = status.failed_revision if served_before else revision
    problem = Problem(code=START_FAILED, message=error)
    return status.model_copy(update={"failed_revision": failed, "problem": problem})


def endpoint_status(
    record: EndpointRecord,
    versions: Sequence[PlannedVersion],
    replicas: Sequence[ReplicaObservation],
    traffic: Split,
    *,
    base: str,
    certificate: tuple[CertificateStatus | None, Problem | None] = (None, None),
    router: Problem | None = None,
    storage: Problem | None = None,
) -> EndpointStatus:
    """Return the status of an endpoint whose plans are in force.

    Parameters:
        record: the endpoint, with the known problems of ended replicas.
        versions: its versions with their plans. Those without a spec are left out.
        replicas: its replicas.
        traffic: the share of requests of each version.
        base: the URI that its paths are under.
        certificate: the certificate in use, and the problem with it.
        router: the reason why the router does not pass requests on; None when it does.
        storage: the problem with the control plane's storage; None when there is none.

    """
    found = {
        version.name: _version_status(
            record.status.versions.get(version.name, VersionStatus()),
            version,
            version.spec,
            [replica for replica in replicas if replica.version == version.name],
            traffic.weights.get(version.name, 0),
        )
        for version in versions
        if version.spec is not None
    }
    state = endpoint_state((version.state for version in found.values()), deleting=record.deleting)
    problems = [
        problem
        for problem in (*(one.problem for one in found.values()), certificate[1], storage)
        if problem is not None
    ]
    status = EndpointStatus(
        state=state,
        observed_generation=record.generation,
        scoring_uri=f"{base}/score",
        swagger_uri=f"{base}/swagger.json",
        default_version=traffic.default,
        versions=found,
        certificate=certificate[0],
        problem=problems[0] if problems else None,
    )
    return failing(status, router) if router is not None else status


def moved(status: EndpointStatus, base: str) -> EndpointStatus:
    """Return the status of an endpoint whose paths are under another URI now. One without URIs gets none."""
    if status.scoring_uri is None:
        return status
    return status.model_copy(update={"scoring_uri": f"{base}/score", "swagger_uri": f"{base}/swagger.json"})


def failing(status: EndpointStatus, problem: Problem) -> EndpointStatus:
    """Return the status of an endpoint whose requests fail for a reason outside its versions."""
    state = EndpointState.UNHEALTHY if status.state is EndpointState.HEALTHY else status.state
    return status.model_copy(update={"state": state, "problem": problem})


def version_state(
    *,
    revision: str,
    wanted: int,
    ready: int,
    routed: bool,
    ready_revision: str | None,
    failed_revision: str | None,
    waking: bool = False,
    impaired: bool = False,
) -> EndpointState:
    """Return the state of one version.

    A version that serves while replicas are added to it is Transitioning; it is Unhealthy when something is wrong.

    Parameters:
        revision: the desired revision.
        wanted: the desired number of replicas.
        ready: the number of replicas of that revision that are ready.
        routed: whether the router is known to send requests to replicas of that revision, and to no others.
        ready_revision: the newest revision whose replicas were all ready.
        failed_revision: the newest revision that failed to start.
        waking: whether requests wait for its first replica, and no problem is known.
        impaired: whether one of its replicas has crashed or cannot be reached.

    """
    if failed_revision == revision:
        return EndpointState.FAILED
    if ready >= wanted and (routed or waking):
        return EndpointState.HEALTHY
    if waking:
        return EndpointState.TRANSITIONING
    served = ready_revision == revision
    return EndpointState.UNHEALTHY if served and (impaired or not ready) else EndpointState.TRANSITIONING


def endpoint_state(states: Iterable[EndpointState], *, deleting: bool = False) -> EndpointState:
    """Return the state of an endpoint from the states of its versions: the most severe one."""
    if deleting:
        return EndpointState.DELETING
    found = set(states)
    return next((state for state in _GRAVEST_FIRST if state in found), EndpointState.TRANSITIONING)


def _version_status(
    before: VersionStatus,
    version: PlannedVersion,
    spec: VersionSpec,
    replicas: Sequence[ReplicaObservation],
    weight: int,
) -> VersionStatus:
    desired, plan, reached = version.desired, version.plan, version.reached
    ready = [
        replica
        for replica in replicas
        if replica.phase is ReplicaPhase.READY and replica.revision == plan.revision and replica.silence is None
    ]
    ready_revision = desired.revision if reached else before.ready_revision
    remembered = before.problem is not None and before.problem.code in _REMEMBERED
    problem = before.problem if remembered and not reached else None
    status = VersionStatus(
        state=version_state(
            revision=desired.revision,
            wanted=desired.replicas,
            ready=len(ready) if plan.revision == desired.revision else 0,
            # A replica may have become ready after the plan was computed. Requests still follow the plan.
            routed=reached and bool(plan.routed),
            ready_revision=ready_revision,
            failed_revision=before.failed_revision,
            waking=plan.waiting and problem is None,
            impaired=problem is not None or any(replica.silence is not None for replica in replicas),
        ),
        revision=desired.revision,
        replicas_wanted=desired.replicas,
        replicas_ready=len(ready),
        weight=weight,
        replicas=[_replica_status(replica) for replica in sorted(replicas, key=lambda item: item.id)],
        restarts=before.restarts,
        ready_revision=ready_revision,
        failed_revision=before.failed_revision,
        problem=problem,
    )
    if desired.shortage is not None:
        status = _short_of_room(status, spec, desired.shortage)
    # Replicas of another revision are about to end: what keeps them from starting does not matter any more.
    coming = [replica for replica in replicas if replica.revision == desired.revision]
    return _with_obstacles(_with_silent_replicas(status, replicas), coming)


def _with_obstacles(status: VersionStatus, replicas: Sequence[ReplicaObservation]) -> VersionStatus:
    """Return the status of a version with the reason why a replica cannot start yet.

    A version without a ready replica is Unschedulable when its replicas fit nowhere, or are refused. Otherwise its
    state stays.
    """
    found = next((replica.obstacle for replica in replicas if replica.obstacle is not None), None)
    if found is None or status.state is EndpointState.FAILED or status.replicas_ready >= status.replicas_wanted:
        return status
    unschedulable = found.code in (UNSCHEDULABLE, NOT_CREATED) and not status.replicas_ready
    state = EndpointState.UNSCHEDULABLE if unschedulable else status.state
    return status.model_copy(update={"state": state, "problem": found})


def _with_silent_replicas(status: VersionStatus, replicas: Sequence[ReplicaObservation]) -> VersionStatus:
    """Return the status of a version with the problem of replicas that run but cannot be reached."""
    silent = [(replica.id, replica.silence) for replica in replicas if replica.silence is not None]
    if not silent or status.replicas_ready >= status.replicas_wanted:
        return status
    replica_id, silence = silent[0]
    problem = Problem(code="ReplicaUnreachable", message=f"replica {replica_id} {silence}.")
    state = EndpointState.UNHEALTHY if status.state is EndpointState.HEALTHY else status.state
    return status.model_copy(update={"state": state, "problem": status.problem or problem})


def _short_of_room(status: VersionStatus, spec: VersionSpec, shortage: str) -> VersionStatus:
    """Return the status of a version whose replicas do not all fit on the machine.

    A version with its minimum number of replicas stays as healthy as before, even if its load needs more.
    """
    problem = Problem(code=UNSCHEDULABLE, message=f"{shortage}.")
    if status.replicas_wanted >= spec.scaling.least_replicas and status.replicas_wanted:
        return status.model_copy(update={"problem": status.problem or problem})
    if status.state is EndpointState.FAILED:
        return status
    return status.model_copy(update={"state": EndpointState.UNSCHEDULABLE, "problem": problem})


def _replica_status(replica: ReplicaObservation) -> ReplicaStatus:
    return ReplicaStatus(
        id=replica.id,
        phase=replica.phase,
        revision=replica.revision,
        pid=replica.pid,
        started_time=datetime.fromtimestamp(replica.started_time, UTC),
    )
