"""Canary rollout as a state machine: metrics of the new version lead to the next step or back to the previous shares.

An active rollout overrides the shares in the endpoint's spec, which stays as the user wrote it. So to roll back means
to remove the rollout. Only a completed rollout changes the spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mljupyter.engine.replicas.revision import revision
from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.rollout.traffic import WHOLE, weights
from mljupyter.spec import EndpointRecord, EndpointSpec
from mljupyter.spec.guard import ERRORS, PERCENTILES, Condition, Guard, shown
from mljupyter.spec.rollout import Rollout, RolloutPhase, RolloutPlan


@dataclass(frozen=True)
class Observation:
    """An observation of the version: whether a replica is ready, and its requests since the step began."""

    ready: bool = True
    counts: RequestCounts = field(default_factory=RequestCounts)


def begin(plan: RolloutPlan, now: datetime, user: str = "") -> Rollout:
    """Return a rollout in its first step."""
    return Rollout(plan=plan, step_time=now, started_time=now, started_by=user)


def advance(rollout: Rollout, now: datetime, seen: Observation) -> Rollout:
    """Return the rollout after one observation of the version.

    A version without a ready replica, or one that breaks the guard, ends the rollout at once, even while it is paused.
    A step ends after its time, and with a guard after `least_requests` have been answered. A condition is checked from
    that number of requests on; errors are checked earlier, as soon as there are more than `least_requests` may have.

    Parameters:
        rollout: the state so far. One that has ended stays as it is.
        now: the current time.
        seen: the observation of the version in this step.

    """
    if not rollout.active:
        return rollout
    rollout = _with_values(rollout, seen.counts)
    if not seen.ready:
        return _ended(rollout, RolloutPhase.RETURNED, now, "the version has no ready replica")
    guard = Guard.parse(rollout.plan.guard) if rollout.plan.guard else Guard(())
    for condition in guard.conditions:
        if (broken := _breach(condition, seen.counts, rollout.plan.least_requests)) is not None:
            return _ended(rollout, RolloutPhase.RETURNED, now, broken)
    if rollout.phase is RolloutPhase.PAUSED:
        return rollout
    if now - rollout.step_time < timedelta(seconds=rollout.plan.every_seconds):
        return rollout.model_copy(update={"reason": ""})
    judged = min((_judged(condition, seen.counts) for condition in guard.conditions), default=None)
    if judged is not None and judged < rollout.plan.least_requests:
        return rollout.model_copy(update={"reason": f"waits for {rollout.plan.least_requests} requests to judge"})
    if rollout.step + 1 == len(rollout.plan.steps):
        return _ended(rollout, RolloutPhase.COMPLETED, now, "")
    return _in_step(rollout, rollout.step + 1, now)


def paused(rollout: Rollout, user: str = "") -> Rollout:
    """Return the rollout paused in its step. The guard stays in force."""
    reason = f"paused by {user}" if user else ""
    return rollout.model_copy(update={"phase": RolloutPhase.PAUSED, "reason": reason})


def resumed(rollout: Rollout, now: datetime) -> Rollout:
    """Return a paused rollout that continues. Its step begins again."""
    return _in_step(rollout, rollout.step, now)


def aborted(rollout: Rollout, now: datetime, reason: str) -> Rollout:
    """Return the rollout ended by a user. The traffic is split as before it."""
    return _ended(rollout, RolloutPhase.ABORTED, now, reason) if rollout.active else rollout


def in_force(spec: EndpointSpec, rollout: Rollout | None) -> EndpointSpec:
    """Return the spec with the current shares of a rollout; without an active one, the spec itself."""
    if rollout is None or not rollout.active or rollout.plan.version not in spec.versions:
        return spec
    return divided(spec, rollout.plan.version, rollout.share)


def record_in_force(record: EndpointRecord) -> EndpointRecord:
    """Return an endpoint with its spec in force: an active rollout overrides the shares."""
    return record.model_copy(update={"spec": in_force(record.spec, record.rollout)})


def completed(spec: EndpointSpec, plan: RolloutPlan) -> EndpointSpec:
    """Return the spec after a rollout has completed its last step."""
    return promoted(spec, plan.version) if plan.promote else divided(spec, plan.version, plan.steps[-1])


def divided(spec: EndpointSpec, version: str, share: int) -> EndpointSpec:
    """Return the spec with a share for one version, taken from the default version first, then from the others.

    The others keep the proportions of their shares. The version is not a mirror any more.

    Example:
        The default has 70, c has 30: with 50 for b, the default has 20 and c 30; with 80 for b, c has 20.

    """
    others = {name: item.traffic_percentile for name, item in spec.versions.items()}
    others = {name: value for name, value in others.items() if name not in (version, spec.default_version)}
    room = WHOLE - share
    kept = _scaled(others, min(sum(others.values()), room))
    own = spec.versions[spec.default_version].traffic_percentile
    kept[spec.default_version] = min(own, room - sum(kept.values()))
    return _with_percentiles(spec, {**kept, version: share}, receives=version)


def promoted(spec: EndpointSpec, version: str) -> EndpointSpec:
    """Return the spec with a version as default and control, with all requests. The others stay without requests."""
    changed = _with_percentiles(spec, dict.fromkeys(spec.versions, 0), receives=version)
    return changed.model_copy(update={"default_version": version, "control_version": None})


def collides(before: EndpointSpec, after: EndpointSpec) -> bool:
    """Return whether a change conflicts with a rollout: it changes versions, their content or their shares."""
    return _decided(before) != _decided(after)


def share_before(spec: EndpointSpec, version: str) -> int:
    """Return the percentage of the requests of a version by the spec, without a rollout."""
    percentiles = {name: item.traffic_percentile for name, item in spec.versions.items()}
    return weights(percentiles, spec.default_version).get(version, 0)


def _decided(spec: EndpointSpec) -> object:
    versions = {
        name: (revision(item, spec.compute_target), item.traffic_percentile, item.mirror_percentile)
        for name, item in spec.versions.items()
    }
    return spec.kind, spec.default_version, spec.sticky_header, versions


def _with_percentiles(spec: EndpointSpec, shares: Mapping[str, int], *, receives: str) -> EndpointSpec:
    versions = {
        name: item.model_copy(
            update={
                "traffic_percentile": shares[name],
                "mirror_percentile": 0 if name == receives else item.mirror_percentile,
            }
        )
        for name, item in spec.versions.items()
    }
    return spec.model_copy(update={"versions": versions})


def _scaled(shares: Mapping[str, int], total: int) -> dict[str, int]:
    """Return integer shares in the same proportions that add up to `total`, which is not above their sum."""
    whole = sum(shares.values())
    if whole == total:
        return dict(shares)
    exact = {name: share * total / whole for name, share in shares.items()}
    found = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (found[name] - exact[name], name))
    for name in by_remainder[: total - sum(found.values())]:
        found[name] += 1
    return found


def _in_step(rollout: Rollout, step: int, now: datetime) -> Rollout:
    update = {"phase": RolloutPhase.RUNNING, "step": step, "step_time": now, "reason": ""}
    return rollout.model_copy(update={**update, "requests": 0, "errors": 0, "values": {}})


def _ended(rollout: Rollout, phase: RolloutPhase, now: datetime, reason: str) -> Rollout:
    return rollout.model_copy(update={"phase": phase, "ended_time": now, "reason": reason})


def _with_values(rollout: Rollout, counts: RequestCounts) -> Rollout:
    guard = Guard.parse(rollout.plan.guard) if rollout.plan.guard else Guard(())
    measured = [item.metric for item in guard.conditions if _judged(item, counts)]
    values = {metric: round(_value(metric, counts), 3) for metric in measured}
    return rollout.model_copy(update={"requests": counts.requests, "errors": counts.errors, "values": values})


def _value(metric: str, counts: RequestCounts) -> float:
    return counts.error_percentage if metric == ERRORS else counts.latency(PERCENTILES[metric])


def _judged(condition: Condition, counts: RequestCounts) -> int:
    return counts.judged if condition.metric == ERRORS else counts.timed


def _breach(condition: Condition, counts: RequestCounts, least: int) -> str | None:
    """Return how a condition is broken. None when it holds, or when there were too few requests."""
    judged = _judged(condition, counts)
    value = _value(condition.metric, counts)
    if condition.metric == ERRORS:
        if condition.holds(100.0 * counts.errors / max(judged, least)):
            return None
        return f"errors are {shown(ERRORS, value)} ({counts.errors} of {judged} requests), the guard is {condition}"
    if judged < least or condition.holds(value):
        return None
    return f"{condition.metric} is {shown(condition.metric, value)} over {judged} requests, the guard is {condition}"
