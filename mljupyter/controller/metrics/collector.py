"""The collector samples the router, the replicas and the endpoints once a second and stores the samples."""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from mljupyter.client.errors import ControllerError
from mljupyter.controller.endpoints.replica_handle import ReplicaSupervisor
from mljupyter.controller.metrics import gauges
from mljupyter.controller.metrics.gauges import MeasuredVersion
from mljupyter.controller.metrics.replica_meter import Key, ReplicaMeter, replica_source
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.controller.storage.store import Store
from mljupyter.engine.envoy.routing import cluster_name, mirror_name
from mljupyter.runtimes.base import RunningReplica, Runtimes
from mljupyter.spec import ReplicaPhase
from mljupyter.telemetry.metrics.progress import Progress
from mljupyter.telemetry.metrics.prometheus import Totals, VersionTotals
from mljupyter.telemetry.metrics.router_statistics import Cluster, RouterStatistics
from mljupyter.telemetry.metrics.samples import NOTHING, Counts, Interval, Usage
from mljupyter.telemetry.metrics.store import MINUTE, Samples, TimeSeries

EVERY = 1
_VERSIONS_PER_SECOND = 250
_SETTLE = 0.02  # timers may fire a little early; after this time the second is over
_MEASURED = (ReplicaPhase.READY, ReplicaPhase.DRAINING)
_NO_CLUSTER = Cluster(NOTHING)
_DENIED = "denied:"
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class Collector:
    """Measures every version of every endpoint once a second, and stores the result at once.

    With more than 250 versions it measures less often, so that the cost stays the same: 1,000 of them every 4 s.

    Increments are computed from the last reading of each source, which is stored with the samples. So a new controller
    continues where the previous one ended, and its first sample contains everything in between.

    Parameters:
        path: the file of the time series.
        store: the endpoints.
        router: has the counts of requests.
        supervisor: has the replicas.
        runtimes: measure the replicas' usage.

    """

    def __init__(
        self, path: Path, store: Store, router: EndpointRouter, supervisor: ReplicaSupervisor, runtimes: Runtimes
    ) -> None:
        self.series = TimeSeries(path)
        self.enabled = True
        self._store = store
        self._router = router
        self._supervisor = supervisor
        self._progress = Progress(self.series.progress())
        self._meter = ReplicaMeter(runtimes, self._progress)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="metrics")
        self._last_time = self.series.last_time
        self._last_clock: float | None = None
        self._rolled = 0
        self._first = True
        self._busy: set[Key] = set()
        self._created: dict[Key, datetime] = {}
        self._active: set[Key] = set()
        self._totals: dict[Key, VersionTotals] = {}
        self._denied = 0
        self._failed = False
        self._measured = 0  # the number of versions at the last measurement

    async def run(self) -> None:
        """Measure at the end of every second until cancelled."""
        while True:
            now = time.time()
            await asyncio.sleep(math.floor(now) + pause(self._measured) + _SETTLE - now)
            if not self.enabled:
                self._last_clock = None
                continue
            try:
                await self._look()
            except (ControllerError, sqlite3.Error, OSError) as error:
                self._complain(error)
                if getattr(error, "sqlite_errorname", "").startswith(_DAMAGED):
                    await self._begin_again(error)
            except Exception:  # a failed measurement must not end the controller
                if not self._failed:
                    log.exception("metrics pause")
                self._failed = True
            else:
                self._failed = False

    async def close(self) -> None:
        """Close the file and all connections."""
        await self._meter.keep([])
        await self.in_thread(self.series.close)
        self._thread.shutdown()

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Use the time series in a thread, one call at a time, without blocking the controller."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def totals(self) -> Totals:
        """Return the counts since this process started, and the current levels."""
        found = [self._totals[key] for key in sorted(self._totals)]
        return Totals(found, self._router.up, self._denied, float(self._last_time or 0))

    async def _look(self) -> None:
        self._progress.begin()
        # Before the router is read: its counts may be those of a deleted endpoint, whose name has just been used again.
        versions = self._versions()
        self._measured = len(versions)
        statistics = await self._router.statistics() if self._router.up else None
        at, clock = self._time(), time.monotonic()
        seconds = self._seconds(clock)
        replicas = self._replicas(versions)
        counted, denied = self._count(versions, statistics)
        metered = await self._meter.measure(replicas, self._active, at)
        intervals = {
            version.key: Interval(
                at,
                version.name,
                seconds,
                counted[version.key].plus(metered.counts.get(version.key, NOTHING)),
                gauges.levels(version, *_clusters(version, statistics)),
            )
            for version in versions
        }
        running = [replica for found in replicas.values() for replica in found]
        gone = self._progress.gone({_DENIED, *map(_source, replicas), *map(replica_source, running)})
        samples = Samples(_by_endpoint(intervals), _flat(metered.usages), self._progress.changed(), gone)
        await self.in_thread(partial(self.series.write, samples))
        self._progress.commit()
        self._progress.forget(gone)
        self._last_time, self._last_clock = at, clock
        self._denied += denied
        self._add_up(intervals, replicas)
        await self._meter.keep(running)
        if at // MINUTE != self._rolled:
            self._rolled = at // MINUTE
            await self.in_thread(partial(self.series.roll_up, at))

    def _time(self) -> int:
        """Return the time of this measurement."""
        at, last = math.floor(time.time()), self._last_time
        if last is not None and last >= at > last - MINUTE:  # the clock was set back a little: no second is used twice
            return last + EVERY
        return at

    def _seconds(self, clock: float) -> float:
        """Return the seconds since the last stored measurement of any process."""
        if self._last_clock is not None:
            return clock - self._last_clock
        return max(time.time() - self._last_time, EVERY) if self._last_time is not None else float(EVERY)

    def _versions(self) -> list[MeasuredVersion]:
        records = (self._store.find(name) for name in self._store.names())
        wanted = (record for record in records if record is not None and not record.deleting)
        return [version for record in wanted for version in gauges.versions(record)]

    def _replicas(self, versions: Sequence[MeasuredVersion]) -> dict[Key, list[RunningReplica]]:
        replicas: dict[Key, list[RunningReplica]] = {version.key: [] for version in versions}
        for watched in self._supervisor.all():
            key = (watched.replica.endpoint, watched.replica.version)
            if watched.phase in _MEASURED and key in replicas:
                replicas[key].append(watched.replica)
        return replicas

    def _count(
        self, versions: Sequence[MeasuredVersion], statistics: RouterStatistics | None
    ) -> tuple[dict[Key, Counts], int]:
        """Return the router's increments of each version since the last measurement, and the number of denied requests.

        Versions with requests are noted as active.

        A version without requests stays active for one more measurement, for the last counts of its replicas.
        """
        before, self._busy = self._busy, set()
        counts: dict[Key, Counts] = {}
        router = self._router.identity
        created, self._created = self._created, {version.key: version.created for version in versions}
        for version in versions:
            if created.get(version.key, version.created) != version.created:  # deleted and created since
                self._progress.forget([_source(version.key)])
            counts[version.key] = new = NOTHING
            if statistics is not None:
                cluster, mirror = _clusters(version, statistics)
                mirrored = mirror.counts.requests
                reading = cluster.counts.plus(Counts(mirrored=mirrored) if mirrored else NOTHING)
                counts[version.key] = new = self._progress.advance(_source(version.key), router, reading)
                if cluster.active or mirror.active or new.requests or new.mirrored:
                    self._busy.add(version.key)
        denied = 0
        if statistics is not None:
            denied = self._progress.advance(_DENIED, router, Counts(requests=statistics.denied)).requests
        self._active = self._busy | before
        if self._first and self._last_time is None and self._router.adopted:
            counts = dict.fromkeys(counts, NOTHING)  # the time that these counts cover is unknown
        self._first = self._first and statistics is None
        return counts, denied

    def _add_up(self, intervals: Mapping[Key, Interval], replicas: Mapping[Key, Sequence[RunningReplica]]) -> None:
        before, self._totals = self._totals, {}
        for key, interval in intervals.items():
            counts = before[key].counts.plus(interval.counts) if key in before else interval.counts
            self._totals[key] = VersionTotals(*key, counts, interval.levels, *self._meter.latest(replicas[key]))

    async def _begin_again(self, reason: Exception) -> None:
        """Start a new file in place of a damaged one, and continue."""
        try:
            await self.in_thread(partial(self.series.begin_again, reason))
        except (sqlite3.Error, OSError) as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Log a problem once, not every second."""
        if not self._failed:
            log.warning("metrics pause: %s", getattr(error, "message", None) or f"{type(error).__name__}: {error}")
        self._failed = True


def pause(versions: int) -> int:
    """Return the seconds between two measurements of this number of versions.

    Example:
        >>> pause(10), pause(1000)
        (1, 4)

    """
    return max(EVERY, math.ceil(versions / _VERSIONS_PER_SECOND))


def _clusters(version: MeasuredVersion, statistics: RouterStatistics | None) -> tuple[Cluster, Cluster]:
    known = statistics.clusters if statistics is not None else {}
    return known.get(cluster_name(*version.key), _NO_CLUSTER), known.get(mirror_name(*version.key), _NO_CLUSTER)


def _by_endpoint(intervals: Mapping[Key, Interval]) -> dict[str, list[Interval]]:
    found: dict[str, list[Interval]] = {}
    for (endpoint, _), interval in intervals.items():
        found.setdefault(endpoint, []).append(interval)
    return found


def _flat(usages: Mapping[Key, Sequence[Usage]]) -> dict[str, list[Usage]]:
    found: dict[str, list[Usage]] = {}
    for (endpoint, _), measured in usages.items():
        found.setdefault(endpoint, []).extend(measured)
    return found


def _source(key: Key) -> str:
    return f"router:{cluster_name(*key)}"
