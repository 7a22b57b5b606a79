"""The autoscaler reads the demand for each version, applies the policy, and records its decisions."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from mljupyter.client.errors import ControllerError
from mljupyter.controller.endpoints.capacity_manager import CapacityManager
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.controller.storage.store import Store
from mljupyter.engine.envoy.routing import cluster_name, mirror_name, version_of
from mljupyter.engine.scaling.autoscaling import Decision, look_every
from mljupyter.engine.scaling.capacity import Admission
from mljupyter.engine.scaling.demand import Reading
from mljupyter.engine.scaling.version_scaler import ASLEEP_EVERY, VersionScaler, claim_of, next_look
from mljupyter.spec import AutoscalePolicy, ScalingDecision, VersionSpec

_SOONEST, _LATEST = 0.01, 1.0

Key = tuple[str, str]
"""Endpoint and version."""

log = logging.getLogger(__name__)


class Autoscaler:
    """Decides the number of replicas of each version.

    A version at its minimum without requests rests: nobody looks at it until the router has counted another request.

    Parameters:
        store: has the endpoints, and stores the decisions.
        router: has the counters for the demand.
        admissions: says how many replicas fit on a machine.
        changed: called with the endpoint's name when a number changes.

    Attributes:
        versions_looked_at: how often a version was looked at.

    """

    def __init__(
        self, store: Store, router: EndpointRouter, admissions: CapacityManager, changed: Callable[[str], None]
    ) -> None:
        self._store = store
        self._router = router
        self._admissions = admissions
        self._changed = changed
        self._versions: dict[Key, VersionScaler] = {}
        self._timers: list[tuple[float, Key]] = []  # a heap; a time that is not that of its version has no meaning
        self._resting: set[Key] = set()
        self._pulse: float = _LATEST  # seconds between two readings for the versions that rest
        self._pulse_at = 0.0
        self._store_change = -1  # the number of the last change of the store that was processed; -1 at the start
        self._keys: dict[str, set[Key]] = {}  # by endpoint, all versions
        self._specs: dict[Key, VersionSpec] = {}  # those with a policy
        self._most_again: dict[str, int] = {}
        self._readings: Mapping[str, Reading] = {}
        self._read_at = 0.0
        self.versions_looked_at = 0

    def admitted(
        self, endpoint: str, version: str, spec: VersionSpec, target: str, *, running: int, proven: bool
    ) -> Admission:
        """Return the desired number of replicas of a version, and the reason when capacity limits it.

        Parameters:
            endpoint, version: names of the endpoint and the version.
            spec: its spec. Without an autoscale policy it has the number itself.
            target: its compute target.
            running: the number of its running replicas.
            proven: whether a replica of it has been ready. Until then there is one, even if zero is allowed.

        """
        wanted = self._wanted(endpoint, version, spec, running, proven=proven)
        return self._admissions.admitted(target, claim_of(endpoint, version, spec, wanted, running))

    async def run(self) -> None:
        """Measure and decide until cancelled."""
        while True:
            await asyncio.sleep(self._pause())
            try:
                await self._tick()
            except ControllerError as error:
                log.warning("autoscaling pauses: %s", error.message)
                await asyncio.sleep(_LATEST)

    def _wanted(self, endpoint: str, version: str, spec: VersionSpec, running: int, *, proven: bool) -> int:
        policy = spec.scaling.autoscale
        if policy is None:
            self._forget((endpoint, version))
            return spec.scaling.initial_replicas
        key = (endpoint, version)
        known = self._versions.get(key)
        if known is None:
            known = self._versions[key] = VersionScaler.begin(policy, running, time.monotonic())
            self._set_timer(key, known)
        wanted = known.keep_awake(spec, time.monotonic(), proven=proven)
        if key in self._resting and not known.rests(policy):
            self._wake(key, known, time.monotonic())
        return wanted

    def _pause(self) -> float:
        """Return the seconds until the next measurement."""
        next_look = self._timers[0][0] if self._timers else float("inf")
        if self._resting:
            next_look = min(next_look, self._pulse_at)
        return min(max(next_look - time.monotonic(), _SOONEST), _LATEST)

    async def _tick(self) -> None:
        self._refresh()
        started = time.monotonic()
        due = self._pop_due(started)
        pulse = bool(self._resting) and self._pulse_at <= started
        if not self._router.up:
            for known in due.values():
                known.look_at = started + _LATEST / 2
        if (due or pulse) and self._router.up:
            try:
                await self._read(due, started)
            finally:
                for key, known in due.items():
                    if self._versions.get(key) is known and key not in self._resting:
                        self._set_timer(key, known)
        else:
            for key, known in due.items():
                self._set_timer(key, known)
        if pulse:
            self._pulse_at = next_look(started, self._pulse)

    async def _read(self, due: dict[Key, VersionScaler], started: float) -> None:
        """Read the demand, and decide for the versions in `due`; add those to it that rest no longer."""
        before, readings = self._readings, await self._router.demand(self._most_again)
        now = time.monotonic()
        for key in _moved(before, readings) & self._resting:
            if (known := self._versions.get(key)) is not None:
                self._resting.discard(key)
                known.rested_until(self._read_at, self._policy(key))
                due[key] = known
        for (endpoint, version), known in due.items():
            spec = self._specs.get((endpoint, version))
            if spec is None or self._versions.get((endpoint, version)) is not known:
                continue
            self.versions_looked_at += 1
            mine = {name: readings[name] for name in _clusters(endpoint, version) if name in readings}
            if readings is before:  # nothing has changed since these were read
                mine = {name: replace(reading, time=now) for name, reading in mine.items()}
            number, policy = known.wanted, self._policy((endpoint, version))
            if (decision := known.look(mine, spec, policy, started)) is not None:
                self._changed(endpoint)
                self._write_down(endpoint, version, spec, number, decision)
            if known.rests(policy):
                self._rest((endpoint, version), policy)
        self._readings, self._read_at = readings, now

    def _pop_due(self, now: float) -> dict[Key, VersionScaler]:
        """Return the versions whose time has come, without those that rest."""
        due: dict[Key, VersionScaler] = {}
        while self._timers and self._timers[0][0] <= now:
            at, key = heapq.heappop(self._timers)
            known = self._versions.get(key)
            if known is not None and known.look_at == at and key in self._specs and key not in self._resting:
                due[key] = known
        return due

    def _set_timer(self, key: Key, known: VersionScaler) -> None:
        heapq.heappush(self._timers, (known.look_at, key))

    def _rest(self, key: Key, policy: AutoscalePolicy) -> None:
        """Look at a version no more until it moves. The router is read as often as before, once for all that rest."""
        every = look_every(policy) if policy.min_replicas else ASLEEP_EVERY
        first = not self._resting
        self._resting.add(key)
        self._pulse = every if first else min(self._pulse, every)
        soonest = next_look(time.monotonic(), self._pulse)
        self._pulse_at = soonest if first else min(self._pulse_at, soonest)

    def _wake(self, key: Key, known: VersionScaler, now: float) -> None:
        """Look at a version again, at once."""
        self._resting.discard(key)
        if (spec := self._specs.get(key)) is not None and spec.scaling.autoscale is not None:
            known.rested_until(self._read_at, spec.scaling.autoscale)
        known.look_at = now
        self._set_timer(key, known)

    def _policy(self, key: Key) -> AutoscalePolicy:
        policy = self._specs[key].scaling.autoscale
        assert policy is not None  # noqa: S101 - `_specs` has versions with a policy alone
        return policy

    def _refresh(self) -> None:
        """Look at the endpoints that have changed."""
        everything = self._store_change < 0  # the first look: some may have come and gone before it
        for name in (
            {*self._store.names(), *self._admissions.endpoints}
            if everything
            else self._store.changes.since(self._store_change)
        ):
            record = self._store.find(name)
            found = {} if record is None or record.deleting else record.spec.versions
            keys = {(name, version) for version in found}
            for gone in self._keys.pop(name, set()) - keys:
                self._forget(gone)
            self._admissions.keep(name, found)
            if keys:
                self._keys[name] = keys
            for version, spec in found.items():
                self._put((name, version), spec)
        self._store_change = self._store.changes.number

    def _put(self, key: Key, spec: VersionSpec) -> None:
        if spec.scaling.autoscale is None:
            self._forget(key)
            return
        if self._specs.get(key) == spec:
            return
        self._specs[key] = spec
        self._most_again = {**self._most_again, **dict.fromkeys(_clusters(*key), spec.limits.max_queue_length)}
        if key in self._resting:
            self._wake(key, self._versions[key], time.monotonic())

    def _forget(self, key: Key) -> None:
        self._versions.pop(key, None)
        self._resting.discard(key)
        if self._specs.pop(key, None) is not None:
            names = _clusters(*key)
            self._most_again = {name: most for name, most in self._most_again.items() if name not in names}

    def _write_down(self, endpoint: str, version: str, spec: VersionSpec, before: int, decision: Decision) -> None:
        policy, record = spec.scaling.autoscale, self._store.find(endpoint)
        if policy is None or record is None:
            return
        status = record.status.versions.get(version)
        running = len(status.replicas) if status else 0
        claim = claim_of(endpoint, version, spec, decision.replicas, running)
        admission = self._admissions.admitted(record.spec.compute_target, claim)
        reason = decision.reason + (f"; {admission.shortage}" if admission.shortage else "")
        log.info("endpoint %s, version %s: %d → %d replicas; %s", endpoint, version, before, decision.replicas, reason)
        self._store.scaling.add(
            endpoint,
            ScalingDecision(
                time=datetime.now(UTC),
                version=version,
                before=before,
                after=decision.replicas,
                admitted=admission.replicas,
                reason=reason,
                demand=round(decision.demand, 3),
                needed=decision.needed,
                min_replicas=policy.min_replicas,
                max_replicas=policy.max_replicas,
                target_utilization=policy.target_utilization,
                max_concurrent_requests=spec.limits.max_concurrent_requests,
            ),
        )


def _clusters(endpoint: str, version: str) -> tuple[str, str]:
    return cluster_name(endpoint, version), mirror_name(endpoint, version)


def _moved(before: Mapping[str, Reading], now: Mapping[str, Reading]) -> set[Key]:
    """Return the versions with requests, or with more finished ones than before."""
    if now is before:
        return set()
    return {
        version_of(name)
        for name, reading in now.items()
        if reading.present or reading.count != (before[name].count if name in before else 0)
    }
