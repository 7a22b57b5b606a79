"""From a version's spec and what is known of it to what is wanted now: replicas by load and by room."""

from __future__ import annotations

from typing import NamedTuple

from mljupyter.controller.endpoints.autoscaler import Autoscaler
from mljupyter.engine.replicas.replica_plan import VersionGoal
from mljupyter.engine.replicas.revision import revision
from mljupyter.spec import EndpointRecord, VersionStatus


class Goal(NamedTuple):
    """What is wanted of a version, why not more where there is no room, and how long requests wait for a replica."""

    goal: VersionGoal
    shortage: str | None = None
    wake_wait_ms: int = 0


def goal_of(autoscaler: Autoscaler, record: EndpointRecord, name: str, running: int) -> Goal:
    """Return what is wanted of a version of which so many replicas run; of one that is not wanted any more, nothing."""
    spec = record.spec.versions.get(name)
    status = record.status.versions.get(name, VersionStatus())
    if spec is None:
        return Goal(VersionGoal("", 0, failed_revision=status.failed_revision))
    target = record.spec.compute_target
    wanted, policy = revision(spec, target), spec.scaling.autoscale
    proven = wanted in (status.ready_revision, status.failed_revision)
    admission = autoscaler.admitted(record.spec.name, name, spec, target, running=running, proven=proven)
    may_sleep = policy is not None and policy.min_replicas == 0 and not spec.mirror_percentile
    goal = VersionGoal(
        revision=wanted,
        replicas=admission.replicas,
        ready_revision=status.ready_revision,
        failed_revision=status.failed_revision,
        most=policy.max_replicas if policy is not None and not admission.shortage else None,
        may_sleep=may_sleep,
        unschedulable=admission.shortage is not None and not admission.replicas,
    )
    return Goal(goal, admission.shortage, policy.max_wake_wait_ms if policy is not None and may_sleep else 0)
