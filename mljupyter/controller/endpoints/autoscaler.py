"""The autoscaler reads the demand for each version, applies the policy, and records its decisions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from mljupyter.client.errors import ControllerError
from mljupyter.controller.endpoints.capacity_manager import CapacityManager
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.controller.storage.store import Store
from mljupyter.engine.envoy.routing import cluster_name, mirror_name
from mljupyter.engine.scaling.autoscaling import Decision
from mljupyter.engine.scaling.capacity import Admission
from mljupyter.engine.scaling.version_scaler import VersionScaler, claim_of
from mljupyter.spec import ScalingDecision, VersionSpec

_SOONEST, _LATEST = 0.01, 1.0
_TIDY_EVERY = 10.0  # seconds, while no version scales

log = logging.getLogger(__name__)


class Autoscaler:
    """Decides the number of replicas of each version.

    Parameters:
        store: has the endpoints, and stores the decisions.
        router: has the counters for the demand.
        admissions: says how many replicas fit on a machine.
        changed: called with the endpoint's name when a number changes.

    """

    def __init__(
        self, store: Store, router: EndpointRouter, admissions: CapacityManager, changed: Callable[[str], None]
    ) -> None:
        self._store = store
        self._router = router
        self._admissions = admissions
        self._changed = changed
        self._versions: dict[tuple[str, str], VersionScaler] = {}
        self._tidy_at = 0.0

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
            self._versions.pop((endpoint, version), None)
            return spec.scaling.initial_replicas
        known = self._versions.get((endpoint, version))
        if known is None:
            known = self._versions[endpoint, version] = VersionScaler.begin(policy, running, time.monotonic())
        return known.keep_awake(spec, time.monotonic(), proven=proven)

    def _pause(self) -> float:
        """Return the seconds until the next measurement."""
        next_look = min((known.look_at for known in self._versions.values()), default=float("inf"))
        return min(max(next_look - time.monotonic(), _SOONEST), _LATEST)

    async def _tick(self) -> None:
        if not self._versions and time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + _TIDY_EVERY
        specs = self._autoscaled()
        for gone in set(self._versions) - set(specs):
            del self._versions[gone]
        started = time.monotonic()
        due = {key: known for key, known in self._versions.items() if known.look_at <= started}
        if not due or not self._router.up:
            for known in due.values():
                known.look_at = started + _LATEST / 2
            return
        readings = await self._router.demand(_most_again(specs))
        for (endpoint, version), known in due.items():
            spec = specs[endpoint, version]
            assert spec.scaling.autoscale is not None  # noqa: S101 - narrows the type
            mine = {name: readings[name] for name in _clusters(endpoint, version) if name in readings}
            before = known.wanted
            if (decision := known.look(mine, spec, spec.scaling.autoscale, started)) is not None:
                self._changed(endpoint)
                self._write_down(endpoint, version, spec, before, decision)

    def _autoscaled(self) -> dict[tuple[str, str], VersionSpec]:
        found = {
            (name, version): spec
            for name in self._store.names()
            if (record := self._store.find(name)) is not None and not record.deleting
            for version, spec in record.spec.versions.items()
        }
        self._admissions.keep(set(found))
        return {key: spec for key, spec in found.items() if spec.scaling.autoscale is not None}

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


def _most_again(specs: dict[tuple[str, str], VersionSpec]) -> dict[str, int]:
    return {name: spec.limits.max_queue_length for key, spec in specs.items() for name in _clusters(*key)}
