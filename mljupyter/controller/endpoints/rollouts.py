"""The rollout controller advances rollouts: it looks once a second, and at once when replicas change.

Endpoints without a rollout cost nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from mljupyter.client.errors import ControllerError
from mljupyter.controller.endpoints.replica_handle import ReplicaSupervisor
from mljupyter.controller.router.request_statistics import RequestStatistics
from mljupyter.controller.storage.history import Change
from mljupyter.controller.storage.store import Store
from mljupyter.engine.envoy.routing import cluster_name
from mljupyter.engine.rollout import canary
from mljupyter.engine.rollout.canary import Observation
from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.spec import EndpointRecord, EndpointState, ReplicaPhase, Rollout, RolloutPhase

EVERY = 1.0
_LATENCIES_EVERY = 0.1
_READINGS_WITHOUT_CHANGE = 3
_MOST_READINGS = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """The counts of a step so far, and the router's counts at the last reading, for comparison with the next one."""

    counted: RequestCounts
    reported: RequestCounts

    def then(self, reported: RequestCounts) -> Seen:
        """Return the counts after another reading."""
        return Seen(self.counted.plus(reported.since(self.reported)), reported)

    def text(self) -> str:
        """Return the counts as JSON text."""
        return json.dumps({"counted": self.counted.document(), "reported": self.reported.document()})

    @classmethod
    def of(cls, text: str) -> Seen:
        """Return the counts from a result of `text`."""
        document = json.loads(text)
        return cls(RequestCounts.of(document["counted"]), RequestCounts.of(document["reported"]))


class Rollouts:
    """Runs the rollouts of all endpoints. Its state is in the store, so that it continues after a restart.

    Parameters:
        store: endpoints and the progress of their rollouts.
        statistics: has the counts of requests.
        supervisor: knows the ready replicas.
        changed: called with an endpoint's name when its traffic weights have changed.
        notify: called when a change is visible for clients.

    Attributes:
        endpoints_looked_at: how often an endpoint was looked at.

    """

    def __init__(
        self,
        *,
        store: Store,
        statistics: RequestStatistics,
        supervisor: ReplicaSupervisor,
        changed: Callable[[str], None],
        notify: Callable[[], None],
    ) -> None:
        self._store = store
        self._statistics = statistics
        self._supervisor = supervisor
        self._changed = changed
        self._notify = notify
        self._bell = asyncio.Event()
        self._woken: set[str] = set()
        self._store_change = 0  # the number of the last change of the store that was processed
        self._active = {name for name in store.names() if _active(store.find(name)) is not None}
        self.endpoints_looked_at = 0

    def wake(self, name: str) -> None:
        """Check an endpoint again now, since its replicas may have changed."""
        self._woken.add(name)
        self._bell.set()

    async def reported(self, name: str, version: str) -> RequestCounts:
        """Return the router's current counts of a version."""
        return await self._statistics.counts(cluster_name(name, version))

    async def reported_at_start(self, name: str, version: str) -> RequestCounts:
        """Return the router's counts of a version at the start of a step.

        The router adds a latency a moment after it counts the request. So this waits until the latencies of the counted
        requests are there; otherwise the guard would judge them as those of the step. Requests that the router answers
        itself never get one: the wait ends when none has come for a while, and after two seconds at the latest.
        """
        first = counts = await self.reported(name, version)
        unchanged = 0
        for _ in range(_MOST_READINGS):
            if counts.timed >= first.requests or unchanged == _READINGS_WITHOUT_CHANGE:
                break
            await asyncio.sleep(_LATENCIES_EVERY)
            later = await self.reported(name, version)
            unchanged = unchanged + 1 if later.timed == counts.timed else 0
            counts = later
        return counts

    def put(self, name: str, rollout: Rollout, reported: RequestCounts) -> EndpointRecord:
        """Begin a step of a rollout, or record its end. Requests after the counts in `reported` belong to it."""
        return self._put(name, rollout, Seen(RequestCounts(), reported))

    def hold(self, name: str, rollout: Rollout) -> EndpointRecord:
        """Record that a rollout stays in its step, with the counts so far."""
        return self._put(name, rollout, Seen.of(self._store.seen(name)))

    def _put(self, name: str, rollout: Rollout, seen: Seen) -> EndpointRecord:
        self._store.put_rollout(name, rollout, seen.text())
        log.info("endpoint %s: rollout of %s", name, rollout.text())
        self._changed(name)
        self._notify()
        self.wake(name)
        return self._store.get(name)

    async def run(self) -> None:
        """Observe and decide until cancelled."""
        due = 0.0
        while True:
            self._bell.clear()
            measure = time.monotonic() >= due
            if measure:
                due = time.monotonic() + EVERY
            woken, self._woken = self._woken, set()
            active = self._with_rollout()
            for name in sorted(active if measure else active & woken):
                self.endpoints_looked_at += 1
                try:
                    await self._look(name, measure=measure)
                except ControllerError as error:
                    log.warning("endpoint %s: its rollout waits: %s", name, error.message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(due - time.monotonic(), 0.0)):
                    await self._bell.wait()

    def _with_rollout(self) -> set[str]:
        """Return the names of the endpoints with an active rollout."""
        for name in self._store.changes.since(self._store_change):
            if _active(self._store.find(name)) is not None:
                self._active.add(name)
            else:
                self._active.discard(name)
        self._store_change = self._store.changes.number
        return self._active

    async def _look(self, name: str, *, measure: bool) -> None:
        asked = _active(self._store.find(name))
        if asked is None:
            return
        seen = Seen.of(self._store.seen(name))
        if measure:
            seen = seen.then(await self.reported(name, asked.plan.version))
        record = self._store.find(name)
        rollout = _active(record)
        # A client may have ended it, or restarted the step, during the reading of the router.
        if record is None or rollout is None or _step(rollout) != _step(asked):
            return
        ready = self._ready(record, rollout)
        after = canary.advance(rollout, datetime.now(UTC), Observation(ready, seen.counted))
        if after.phase is RolloutPhase.COMPLETED:
            self._complete(record, after)
        elif _step(after) != _step(rollout):
            self.put(name, after, seen.reported)
        elif after != rollout or measure:
            self._store.put_rollout(name, after, seen.text())
            self._notify()

    def _ready(self, record: EndpointRecord, rollout: Rollout) -> bool:
        version = rollout.plan.version
        status = record.status.versions.get(version)
        if status is not None and status.state is EndpointState.FAILED:
            return False
        return any(
            item.phase is ReplicaPhase.READY and item.replica.version == version
            for item in self._supervisor.of(record.spec.name)
        )

    def _complete(self, record: EndpointRecord, rollout: Rollout) -> None:
        name, plan = record.spec.name, rollout.plan
        spec = canary.completed(record.spec, plan)
        change = Change(rollout.started_by, f"rolled out {plan.version} to {plan.steps[-1]} %")
        self._store.put(spec, record.status, self._store.keys(name), change, rollout)
        log.info("endpoint %s: rollout of %s", name, rollout.text())
        self._changed(name)
        self._notify()


def _active(record: EndpointRecord | None) -> Rollout | None:
    if record is None or record.deleting or record.rollout is None or not record.rollout.active:
        return None
    return record.rollout


def _step(rollout: Rollout) -> tuple[object, ...]:
    return rollout.started_time, rollout.phase, rollout.step, rollout.step_time
