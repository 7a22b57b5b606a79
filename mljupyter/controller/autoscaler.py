"""Measures the demand for each autoscaled version once a second, and lets the policy decide."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from mljupyter.controller.demand import Demand
from mljupyter.controller.errors import ControllerError
from mljupyter.controller.router import Router
from mljupyter.controller.store import Store
from mljupyter.engine.autoscaling import DOWN_SECONDS, Decision, Sample, decide
from mljupyter.engine.routing import cluster_name
from mljupyter.spec import VersionSpec

EVERY = 1.0

log = logging.getLogger(__name__)


@dataclass
class _Version:
    """What is known of one autoscaled version."""

    wanted: int
    samples: deque[Sample] = field(default_factory=deque)
    before: tuple[float, float] | None = None


class Autoscaler:
    """Decides how many replicas autoscaled versions have.

    Parameters:
        store: the endpoints.
        router: tells the demand.
        changed: called with the endpoint's name when a number changes.

    """

    def __init__(self, store: Store, router: Router, changed: Callable[[str], None]) -> None:
        self._store = store
        self._router = router
        self._changed = changed
        self._versions: dict[tuple[str, str], _Version] = {}

    def wanted(self, endpoint: str, version: str, spec: VersionSpec, *, running: int = 0) -> int:
        """Return how many replicas a version should have.

        Parameters:
            endpoint, version: which one.
            spec: its spec; without an autoscale policy it says the number itself.
            running: how many there are, for a controller that has just started and knows nothing yet.

        """
        policy = spec.scaling.autoscale
        if policy is None:
            self._versions.pop((endpoint, version), None)
            return spec.scaling.initial_replicas
        known = self._versions.get((endpoint, version))
        if known is None:
            begin = min(max(running, policy.min_replicas), policy.max_replicas)
            known = self._versions[endpoint, version] = _Version(wanted=begin)
        return known.wanted

    async def run(self) -> None:
        """Measure and decide for ever."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self._tick()
            except ControllerError as error:
                log.warning("autoscaling pauses: %s", error.message)

    async def _tick(self) -> None:
        specs = self._autoscaled()
        for gone in set(self._versions) - set(specs):
            del self._versions[gone]
        if not specs or not self._router.up:
            return
        demands = await self._router.demand()
        now = time.monotonic()
        for (endpoint, version), spec in specs.items():
            demand = demands.get(cluster_name(endpoint, version))
            known = self._versions.get((endpoint, version))
            if demand is not None and known is not None:
                self._measure(known, demand, spec, now)
                self._decide(endpoint, version, known, spec, now)

    def _autoscaled(self) -> dict[tuple[str, str], VersionSpec]:
        return {
            (name, version): spec
            for name in self._store.names()
            if (record := self._store.find(name)) is not None and not record.deleting
            for version, spec in record.spec.versions.items()
            if spec.scaling.autoscale is not None
        }

    def _measure(self, known: _Version, demand: Demand, spec: VersionSpec, now: float) -> None:
        """Add a sample: what runs and waits now, or the mean of the last second where that was more.

        The mean is by Little's law from the time that requests took, so that short ones between two looks count.
        """
        waiting = max(spec.limits.max_queue_length - demand.remaining_tries, 0)
        mean = 0.0
        if known.before is not None:
            then, seconds = known.before
            mean = max(demand.request_seconds - seconds, 0.0) / max(now - then, 1e-3)
        known.before = (now, demand.request_seconds)
        known.samples.append(Sample(now, max(demand.running + waiting, mean)))
        while known.samples[0].time < now - DOWN_SECONDS - 2 * EVERY:
            known.samples.popleft()

    def _decide(self, endpoint: str, version: str, known: _Version, spec: VersionSpec, now: float) -> None:
        assert spec.scaling.autoscale is not None  # noqa: S101 - narrows the type
        decision: Decision = decide(
            known.samples, known.wanted, spec.scaling.autoscale, spec.limits.max_concurrent_requests, now
        )
        if decision.replicas != known.wanted:
            log.info(
                "endpoint %s, version %s: %d → %d replicas; %s",
                *(endpoint, version, known.wanted, decision.replicas, decision.reason),
            )
            known.wanted = decision.replicas
            self._changed(endpoint)
