"""Release operations on an endpoint: rollouts, promotions, rollbacks and its history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

from mljupyter.client.errors import error_for
from mljupyter.controller.endpoints.rollouts import Rollouts
from mljupyter.controller.endpoints.service import Service
from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.store import Store
from mljupyter.engine.rollout import canary, rules
from mljupyter.engine.rollout.rules import Refusal
from mljupyter.spec import EndpointRecord, Rollout, RolloutPhase, RolloutPlan
from mljupyter.spec.history import HistoryEntry

T = TypeVar("T")


class Releases:
    """Starts, controls and ends rollouts, promotes versions, and rolls endpoints back.

    Parameters:
        store: endpoints with their rollouts and histories.
        rollouts: runs the rollouts.
        service: finds endpoints and accepts their changes.

    """

    def __init__(self, *, store: Store, rollouts: Rollouts, service: Service) -> None:
        self._store = store
        self._rollouts = rollouts
        self._service = service

    async def start(self, name: str, plan: RolloutPlan, user: str) -> EndpointRecord:
        """Start a rollout.

        Raises:
            InvalidSpecError: when the version does not exist.
            RolloutInProgressError: when another one is active.
            RolloutRefusedError: when the version is the default version, is not Healthy, or has a greater share.

        """
        self._service.find(name)
        reported = await self._rollouts.reported_at_start(name, plan.version)
        _raise(rules.refuse_start(self._service.find_changeable(name), plan))
        return self._rollouts.put(name, canary.begin(plan, datetime.now(UTC), user), reported)

    def pause(self, name: str, user: str) -> EndpointRecord:
        """Pause a rollout in its step. Its guard stays in force."""
        rollout = self._under_way(name, RolloutPhase.RUNNING)
        return self._rollouts.hold(name, canary.paused(rollout, user))

    async def resume(self, name: str) -> EndpointRecord:
        """Resume a paused rollout. Its step begins again."""
        version = self._under_way(name, RolloutPhase.PAUSED).plan.version
        reported = await self._rollouts.reported_at_start(name, version)
        rollout = self._under_way(name, RolloutPhase.PAUSED)
        return self._rollouts.put(name, canary.resumed(rollout, datetime.now(UTC)), reported)

    def abort(self, name: str, user: str) -> EndpointRecord:
        """End a rollout. The traffic is split as before it."""
        rollout = self._under_way(name, RolloutPhase.RUNNING, RolloutPhase.PAUSED)
        reason = f"aborted by {user}" if user else "aborted"
        return self._rollouts.hold(name, canary.aborted(rollout, datetime.now(UTC), reason))

    def promote(self, name: str, version: str, user: str) -> EndpointRecord:
        """Make a version default and control, and give it all requests. The others stay without requests."""
        record = self._service.find_changeable(name)
        _raise(rules.refuse_promotion(record, version))
        promoted = canary.promoted(record.spec, version)
        if promoted == record.spec:
            return record
        return self._service.replace(promoted, record.generation, Change(user, f"promoted {version}"))

    def rollback(self, name: str, number: int | None, generation: int | None, user: str) -> EndpointRecord:
        """Restore an endpoint to an entry of its history, by default to its state before the last change.

        A rollback is a change like any other and becomes the newest entry, so a second rollback undoes the first one,
        as with ``kubectl rollout undo``. While a rollout is active, it is aborted, and nothing else is changed.

        Raises:
            InvalidSpecError: when the entry does not exist.
            RolloutRefusedError: when there is no earlier state.

        """
        record = self._service.find_changeable(name)
        if number is None and record.rolls_out:
            return self.abort(name, user)
        entry = _allowed(rules.choose_entry(record, self._store.history(name), number))
        change = Change(user, f"rolled back to {entry.number}")
        return self._service.replace(entry.spec, generation, change)

    def history(self, name: str) -> list[HistoryEntry]:
        """Return the stored changes of an endpoint, the oldest first."""
        self._service.find(name)
        return self._store.history(name)

    def _under_way(self, name: str, *phases: RolloutPhase) -> Rollout:
        return _allowed(rules.rollout_in(self._service.find_changeable(name), *phases))


def _raise(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise error_for(refusal.code, refusal.message)


def _allowed(result: T | Refusal) -> T:
    """Return the result of a rule, or raise its refusal as the error that clients see."""
    if isinstance(result, Refusal):
        raise error_for(result.code, result.message)
    return result
