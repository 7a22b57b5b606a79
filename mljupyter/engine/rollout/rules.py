"""Rules that refuse operations on an endpoint's versions: rollouts, promotions, rollbacks, and changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mljupyter.engine.rollout import canary
from mljupyter.engine.rollout.unknown_version import unknown_version
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState, Rollout, RolloutPhase, RolloutPlan
from mljupyter.spec.history import HistoryEntry


class Refusal(NamedTuple):
    """The reason why an operation is refused: a code to search for, and a message with a remedy."""

    code: str
    message: str


def refuse_start(record: EndpointRecord, plan: RolloutPlan) -> Refusal | None:
    """Return the reason why a rollout cannot begin; None when it can.

    It is refused while another rollout is active, and for a version that does not exist, is the default version, is
    not Healthy, or already has a greater share than the first step.
    """
    spec, name = record.spec, record.spec.name
    if (refusal := _refuse_during_rollout(record) or _refuse_unknown(spec, plan.version)) is not None:
        return refusal
    if plan.version == spec.default_version:
        return _refused(
            f"{plan.version!r} is the default version of {name!r}: it has all requests that no other version claims, "
            "so there is nothing to roll out.\nRoll out another one, or make another one the default first."
        )
    state = record.status.versions[plan.version].state if plan.version in record.status.versions else None
    if state is not EndpointState.HEALTHY or record.status.observed_generation < record.generation:
        return _refused(
            f"version {plan.version!r} of {name!r} is {state or EndpointState.TRANSITIONING}: a rollout begins "
            "with a version that is Healthy. Wait for it: endpoint.wait_for_deployment()"
        )
    share = canary.share_before(spec, plan.version)
    if share > plan.steps[0]:
        return _refused(
            f"version {plan.version!r} has {share} % of the requests, and the first step is {plan.steps[0]}: "
            f"a rollout only raises a share. Begin with {share} or more."
        )
    return None


def refuse_promotion(record: EndpointRecord, version: str) -> Refusal | None:
    """Return the reason why a version cannot be promoted; None when it can."""
    return _refuse_during_rollout(record) or _refuse_unknown(record.spec, version)


def refuse_change(record: EndpointRecord, spec: EndpointSpec) -> Refusal | None:
    """Return the reason why an endpoint cannot be changed; None when it can.

    A change is refused when it conflicts with an active rollout, see `collides`.
    """
    return _refuse_during_rollout(record) if canary.collides(record.spec, spec) else None


def choose_entry(
    record: EndpointRecord, entries: Sequence[HistoryEntry], number: int | None = None
) -> HistoryEntry | Refusal:
    """Return the entry of an endpoint's history that a rollback restores, or the reason why there is none.

    Parameters:
        record: the endpoint.
        entries: its history, oldest first.
        number: number of the entry; by default the newest one that differs from the present spec.

    """
    entry = rollback_target(entries, record.spec, number)
    if entry is not None:
        return entry
    name = record.spec.name
    if number is None:
        return _refused(f"{name!r} was not changed yet: there is no earlier state to roll back to.")
    known = f"{entries[0].number} to {entries[-1].number}" if entries else "none yet"
    return Refusal("InvalidSpec", f"the history of {name!r} has no entry {number}: it has {known}.")


def rollout_in(record: EndpointRecord, *phases: RolloutPhase) -> Rollout | Refusal:
    """Return the rollout of an endpoint when it is in one of these phases, or a refusal."""
    rollout = record.rollout
    if rollout is not None and rollout.phase in phases:
        return rollout
    found = f"the last one: {rollout.text()}" if rollout is not None else "there was none yet"
    wanted = " or ".join(phase.value for phase in phases)
    return _refused(f"{record.spec.name!r} has no rollout that is {wanted}; {found}.")


def _refuse_during_rollout(record: EndpointRecord) -> Refusal | None:
    rollout, name = record.rollout, record.spec.name
    if rollout is None or not rollout.active:
        return None
    return Refusal(
        "RolloutInProgress",
        f"a rollout of version {rollout.plan.version!r} of {name!r} is {rollout.phase} at {rollout.share} %: until "
        "it ends, the versions and their shares do not change. Nothing was changed now.\n"
        f"Wait for it, or end it first: endpoint.abort_rollout(), %rollout {name} --abort, "
        f"mljupyter endpoint rollout {name} --abort",
    )


def _refuse_unknown(spec: EndpointSpec, version: str) -> Refusal | None:
    if version in spec.versions:
        return None
    return Refusal("InvalidSpec", unknown_version(spec, version))


def _refused(message: str) -> Refusal:
    return Refusal("RolloutRefused", message)


def rollback_target(
    entries: Sequence[HistoryEntry], present: EndpointSpec, number: int | None = None
) -> HistoryEntry | None:
    """Return the entry of a history that a rollback restores, with the present certificate, or None if there is none.

    Parameters:
        entries: the history, the oldest first.
        present: the current spec.
        number: the number of the requested entry; None for the newest one that differs from the current spec.

    """
    found = [entry.model_copy(update={"spec": _with_present_certificate(present, entry.spec)}) for entry in entries]
    if number is not None:
        return next((entry for entry in found if entry.number == number), None)
    return next((entry for entry in reversed(found) if entry.spec != present), None)


def _with_present_certificate(present: EndpointSpec, earlier: EndpointSpec) -> EndpointSpec:
    """Return the spec that a rollback to an earlier one makes.

    A certificate in a Secret is kept, as keys are: the earlier one is deleted when it is replaced.

    Parameters:
        present: the spec now.
        earlier: that of an entry of the history.

    """
    now, then = present.tls, earlier.tls
    if now is None or then is None or then.secret is None or now.host != then.host:
        return earlier
    return earlier.model_copy(update={"tls": now})
