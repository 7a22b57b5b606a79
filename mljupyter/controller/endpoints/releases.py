"""How an endpoint's versions are brought to all requests, and back: rollouts, promotions, rollbacks, history."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mljupyter.client.errors import (
    InvalidSpecError,
    RolloutRefusedError,
)
from mljupyter.controller.endpoints.rollouts import Rollouts, refuse_during_rollout
from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.store import Store
from mljupyter.engine.rollout import canary
from mljupyter.engine.rollout.history import rollback_target
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState, Rollout, RolloutPhase, RolloutPlan
from mljupyter.spec.history import HistoryEntry

if TYPE_CHECKING:
    from mljupyter.controller.endpoints.service import Service


class Releases:
    """The operations around versions that outlast a single change.

    Parameters:
        store: endpoints with their rollouts and histories.
        rollouts: carries rollouts out.
        service: finds endpoints and accepts changes of them.

    """

    def __init__(self, *, store: Store, rollouts: Rollouts, service: Service) -> None:
        self._store = store
        self._rollouts = rollouts
        self._service = service

    async def start(self, name: str, plan: RolloutPlan, user: str) -> EndpointRecord:
        """Begin a rollout.

        Raises:
            InvalidSpecError: when there is no such version.
            RolloutInProgressError: when another one is under way.
            RolloutRefusedError: when the version is the default one, is not Healthy, or has a greater share already.

        """
        self._service.find(name)
        reported = await self._rollouts.reported(name, plan.version)
        record = self._service.find_changeable(name)
        spec = record.spec
        refuse_during_rollout(record)
        _known(spec, plan.version)
        if plan.version == spec.default_version:
            raise RolloutRefusedError(
                f"{plan.version!r} is the default version of {name!r}: it has all requests that nobody else claims, "
                "so there is nothing to roll out.\nRoll out another one, or make another one the default first."
            )
        state = record.status.versions[plan.version].state if plan.version in record.status.versions else None
        if state is not EndpointState.HEALTHY or record.status.observed_generation < record.generation:
            raise RolloutRefusedError(
                f"version {plan.version!r} of {name!r} is {state or EndpointState.TRANSITIONING}: a rollout begins "
                "with a version that is Healthy. Wait for it: endpoint.wait_for_deployment()"
            )
        share = canary.share_before(spec, plan.version)
        if share > plan.steps[0]:
            raise RolloutRefusedError(
                f"version {plan.version!r} has {share} % of the requests, and the first step is {plan.steps[0]}: "
                f"a rollout only raises a share. Begin with {share} or more."
            )
        return self._rollouts.put(name, canary.begin(plan, datetime.now(UTC), user), reported)

    def pause(self, name: str, user: str) -> EndpointRecord:
        """Hold a rollout in its step; its guard stays in force."""
        rollout = self._under_way(name, RolloutPhase.RUNNING)
        return self._rollouts.hold(name, canary.paused(rollout, user))

    async def resume(self, name: str) -> EndpointRecord:
        """Go on with a paused rollout; its step begins anew."""
        version = self._under_way(name, RolloutPhase.PAUSED).plan.version
        reported = await self._rollouts.reported(name, version)
        rollout = self._under_way(name, RolloutPhase.PAUSED)
        return self._rollouts.put(name, canary.resumed(rollout, datetime.now(UTC)), reported)

    def abort(self, name: str, user: str) -> EndpointRecord:
        """End a rollout; requests are divided as before it."""
        rollout = self._under_way(name, RolloutPhase.RUNNING, RolloutPhase.PAUSED)
        reason = f"aborted by {user}" if user else "aborted"
        return self._rollouts.hold(name, canary.aborted(rollout, datetime.now(UTC), reason))

    def promote(self, name: str, version: str, user: str) -> EndpointRecord:
        """Make a version default and control, and give it all requests; the others stay, without any."""
        record = self._service.find_changeable(name)
        refuse_during_rollout(record)
        _known(record.spec, version)
        promoted = canary.promoted(record.spec, version)
        if promoted == record.spec:
            return record
        return self._service.replace(promoted, record.generation, Change(user, f"promoted {version}"))

    def rollback(self, name: str, number: int | None, generation: int | None, user: str) -> EndpointRecord:
        """Put an endpoint back to an entry of its history, by default to what it was before the last change.

        That is a change as any other and the newest entry from then on, so that a second one takes the first one back,
        as ``kubectl rollout undo`` does. While a rollout is under way it is aborted, and nothing else is changed.

        Raises:
            InvalidSpecError: when the history has no such entry.
            RolloutRefusedError: when there is nothing to go back to.

        """
        record = self._service.find_changeable(name)
        if number is None and record.rollout is not None and record.rollout.active:
            return self.abort(name, user)
        entries = self._store.history(name)
        entry = rollback_target(entries, record.spec, number)
        if entry is None:
            if number is None:
                raise RolloutRefusedError(f"{name!r} was not changed yet: there is nothing to go back to.")
            known = f"{entries[0].number} to {entries[-1].number}" if entries else "none yet"
            raise InvalidSpecError(f"the history of {name!r} has no entry {number}: it has {known}.")
        change = Change(user, f"rolled back to {entry.number}")
        return self._service.replace(entry.spec, generation, change)

    def history(self, name: str) -> list[HistoryEntry]:
        """Return the changes of an endpoint that are remembered, the oldest first."""
        self._service.find(name)
        return self._store.history(name)

    def _under_way(self, name: str, *phases: RolloutPhase) -> Rollout:
        rollout = self._service.find_changeable(name).rollout
        if rollout is None or rollout.phase not in phases:
            found = f"the last one: {rollout.text()}" if rollout is not None else "there was none yet"
            wanted = " or ".join(phase.value for phase in phases)
            raise RolloutRefusedError(f"{name!r} has no rollout that is {wanted}; {found}.")
        return rollout


def _known(spec: EndpointSpec, version: str) -> None:
    if version not in spec.versions:
        listed = ", ".join(sorted(spec.versions))
        raise InvalidSpecError(f"{spec.name!r} has no version {version!r}: it has {listed}.")
