"""Measures the demand for each autoscaled version, lets the policy decide, and writes down what was decided."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mljupyter.client.errors import ControllerError
from mljupyter.controller.endpoints.capacity_manager import Admissions
from mljupyter.controller.router.router import Router
from mljupyter.controller.storage.store import Store
from mljupyter.engine.envoy.routing import cluster_name, mirror_name
from mljupyter.engine.scaling.autoscaling import Decision, Sample, decide, look_every
from mljupyter.engine.scaling.capacity import Admission, Claim
from mljupyter.engine.scaling.demand import MEAN_SECONDS, Reading, asked, demand
from mljupyter.engine.scaling.window import Samples
from mljupyter.spec import ScalingDecision, VersionSpec

ASLEEP_EVERY = 0.25  # how often to look whether a version without replicas is asked for
_SOONEST, _LATEST = 0.01, 1.0
_FEWEST_READINGS = 2

log = logging.getLogger(__name__)


@dataclass
class _Version:
    """What is known of one autoscaled version. Times are of the monotonic clock, in seconds."""

    wanted: int
    look_at: float
    asked_at: float
    samples: Samples = field(default_factory=Samples)
    readings: dict[str, deque[Reading]] = field(default_factory=dict)

    def fall_asleep(self, now: float) -> None:
        """Look more often from now on, and forget the time before: only new requests are a reason to wake up."""
        self.look_at = _next(now, ASLEEP_EVERY)
        self.samples = Samples()
        for kept in self.readings.values():
            while len(kept) > 1:
                kept.popleft()


class Autoscaler:
    """Decides how many replicas versions have.

    Parameters:
        store: the endpoints; keeps the decisions.
        router: tells the demand.
        admissions: tell for how many replicas there is room.
        changed: called with the endpoint's name when a number changes.

    """

    def __init__(self, store: Store, router: Router, admissions: Admissions, changed: Callable[[str], None]) -> None:
        self._store = store
        self._router = router
        self._admissions = admissions
        self._changed = changed
        self._versions: dict[tuple[str, str], _Version] = {}

    def admitted(
        self, endpoint: str, version: str, spec: VersionSpec, target: str, *, running: int, proven: bool
    ) -> Admission:
        """Return how many replicas a version should have, and why not more where there is no room for them.

        Parameters:
            endpoint, version: which one.
            spec: its spec; without an autoscale policy it says the number itself.
            target: where it runs.
            running: how many there are.
            proven: whether a replica of it has been ready; until then there is one, even where zero is allowed.

        """
        wanted = self._wanted(endpoint, version, spec, running, proven=proven)
        return self._admissions.admitted(target, _claim(endpoint, version, spec, wanted, running))

    async def run(self) -> None:
        """Measure and decide for ever."""
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
            begin = min(max(running, policy.min_replicas), policy.max_replicas)
            now = time.monotonic()
            known = self._versions[endpoint, version] = _Version(begin, now, now)
        if not proven:
            known.asked_at = time.monotonic()  # the time without requests counts from when it can answer some
        if not proven or spec.mirror_percentile:
            known.wanted = max(known.wanted, 1)
        return known.wanted

    def _pause(self) -> float:
        """Return for how long nothing has to be looked at."""
        next_look = min((known.look_at for known in self._versions.values()), default=float("inf"))
        return min(max(next_look - time.monotonic(), _SOONEST), _LATEST)

    async def _tick(self) -> None:
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
            every = look_every(spec.scaling.autoscale) if known.wanted else ASLEEP_EVERY
            known.look_at = _next(started, every)
            mine = {name: readings[name] for name in _clusters(endpoint, version) if name in readings}
            if mine and (known.wanted or any(reading.present for reading in mine.values())):
                now = next(iter(mine.values())).time
                if self._measure(known, mine, spec, now) < sum(reading.present for reading in mine.values()):
                    known.look_at = _next(started, every / 2)  # what may be chance is looked at again sooner
                self._decide(endpoint, version, known, spec, now)

    def _autoscaled(self) -> dict[tuple[str, str], VersionSpec]:
        found = {
            (name, version): spec
            for name in self._store.names()
            if (record := self._store.find(name)) is not None and not record.deleting
            for version, spec in record.spec.versions.items()
        }
        self._admissions.keep(set(found))
        return {key: spec for key, spec in found.items() if spec.scaling.autoscale is not None}

    def _measure(self, known: _Version, readings: dict[str, Reading], spec: VersionSpec, now: float) -> float:
        policy = spec.scaling.autoscale
        assert policy is not None  # noqa: S101 - narrows the type
        measured = 0.0
        for name, reading in readings.items():
            kept = known.readings.setdefault(name, deque())
            kept.append(reading)
            while len(kept) > _FEWEST_READINGS and kept[0].time < now - MEAN_SECONDS:
                kept.popleft()
            measured += demand(kept, known.samples.earlier_mean)
            if asked(kept):
                known.asked_at = now
        known.samples.add(Sample(now, measured), policy)
        return measured

    def _decide(self, endpoint: str, version: str, known: _Version, spec: VersionSpec, now: float) -> None:
        policy, concurrent = spec.scaling.autoscale, spec.limits.max_concurrent_requests
        assert policy is not None  # noqa: S101 - narrows the type
        idle = 0.0 if spec.mirror_percentile else now - known.asked_at
        decision = decide(known.samples.listed(), known.wanted, policy, concurrent, now, idle)
        if decision.replicas == known.wanted:
            return
        before, known.wanted = known.wanted, decision.replicas
        if not known.wanted:
            known.fall_asleep(now)
        self._changed(endpoint)
        self._write_down(endpoint, version, spec, before, decision)

    def _write_down(self, endpoint: str, version: str, spec: VersionSpec, before: int, decision: Decision) -> None:
        policy, record = spec.scaling.autoscale, self._store.find(endpoint)
        if policy is None or record is None:
            return
        status = record.status.versions.get(version)
        running = len(status.replicas) if status else 0
        claim = _claim(endpoint, version, spec, decision.replicas, running)
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


def _next(now: float, every: float) -> float:
    """Return when to look next. Versions with the same period are looked at together, which costs as much as one."""
    return (math.floor(now / every) + 1) * every


def _least(spec: VersionSpec) -> int:
    """Return how many replicas there should always be. One that is sent copies keeps one: copies wake nobody."""
    return max(spec.scaling.least_replicas, 1 if spec.mirror_percentile else 0)


def _claim(endpoint: str, version: str, spec: VersionSpec, wanted: int, running: int) -> Claim:
    return Claim((endpoint, version), wanted, min(_least(spec), wanted), running, spec.resources)


def _clusters(endpoint: str, version: str) -> tuple[str, str]:
    return cluster_name(endpoint, version), mirror_name(endpoint, version)


def _most_again(specs: dict[tuple[str, str], VersionSpec]) -> dict[str, int]:
    return {name: spec.limits.max_queue_length for key, spec in specs.items() for name in _clusters(*key)}
