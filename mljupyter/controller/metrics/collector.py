"""The collector samples the router, the replicas and the endpoints once a second and stores the samples.

A second costs the work for the versions with requests or with a change in it, not that for all.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
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
from mljupyter.engine.envoy.routing import cluster_name, mirror_name, version_of
from mljupyter.runtimes.base import RunningReplica, Runtimes
from mljupyter.runtimes.base import Usage as UsageSinceStart
from mljupyter.spec import ReplicaPhase
from mljupyter.telemetry.metrics.idle import idle_intervals
from mljupyter.telemetry.metrics.progress import Progress
from mljupyter.telemetry.metrics.prometheus import Totals, VersionTotals
from mljupyter.telemetry.metrics.router_statistics import Cluster, RouterStatistics
from mljupyter.telemetry.metrics.samples import NOTHING, Counts, Interval, Levels, Usage, total
from mljupyter.telemetry.metrics.store import MINUTE, Samples, TimeSeries

EVERY = 1
IDLE_WRITTEN_EVERY = 10
"""Seconds. The time of a version without requests and changes is written as one interval."""
_SETTLE = 0.02  # timers may fire a little early; after this time the second is over
_MEASURED = (ReplicaPhase.READY, ReplicaPhase.DRAINING)
_NO_CLUSTER = Cluster(NOTHING)
_DENIED = "denied:"
_NO_LEVELS = Levels()
_DAMAGED = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Stored:
    """The end of the last stored interval of a version, on the wall clock and the monotonic clock, and its levels."""

    until: int
    clock: float
    levels: Levels


class Collector:
    """Measures every version of every endpoint once a second, and stores the result at once.

    It looks at the versions with requests, with a change of their endpoint or replicas, or with counts of their
    replicas. All others have been idle, and are written together, every ten seconds and before somebody reads them.

    Increments are computed from the last reading of each source, which is stored with the samples. So a new controller
    continues where the previous one ended, and its first sample contains everything in between.

    Parameters:
        path: the file of the time series.
        store: the endpoints.
        router: has the counts of requests.
        supervisor: has the replicas.
        runtimes: measure the replicas' usage.

    Attributes:
        versions_looked_at: how often a version was looked at.

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
        self._created: dict[str, datetime] = {}  # by endpoint, deleted ones included until nothing counts for them
        self._begun: set[str] = set()  # endpoints whose name was that of a deleted one at the last measurement
        self._active: set[Key] = set()
        self._denied = 0
        self._failed = False
        self._store_change = 0  # the number of the last change of the store that was processed
        self._changed: set[str] = set(store.names())  # endpoints whose versions or replicas may have changed
        self._keys: dict[str, tuple[Key, ...]] = {}  # by endpoint
        self._versions: dict[Key, MeasuredVersion] = {}
        self._replicas: dict[Key, list[RunningReplica]] = {}
        self._due: set[Key] = set()  # changed since the last stored measurement
        self._statistics: RouterStatistics | None = None  # those of the last stored measurement
        self._replaced: Mapping[str, RouterStatistics] = {}  # the same of routers that were replaced, by identity
        self._stored: dict[Key, _Stored] = {}
        self._written = 0  # the number of the ten seconds in which all versions were written
        self._sums: dict[Key, Counts] = {}
        self.versions_looked_at = 0

    async def run(self) -> None:
        """Measure at the end of every second until cancelled."""
        while True:
            now = time.time()
            await asyncio.sleep(math.floor(now) + EVERY + _SETTLE - now)
            if not self.enabled:
                self._last_clock = None
                self._stored.clear()
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
        """Write what is not written yet, and close the file and all connections."""
        await self._meter.keep([])
        await self.write_idle(*self._keys)
        await self.in_thread(self.series.close)
        self._thread.shutdown()

    async def in_thread(self, work: Callable[[], Result]) -> Result:
        """Use the time series in a thread, one call at a time, without blocking the controller."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def totals(self) -> Totals:
        """Return the counts since this process started, and the current levels."""
        found = [
            VersionTotals(*key, counts, self._stored[key].levels, *self._meter.latest(self._replicas.get(key, ())))
            for key, counts in sorted(self._sums.items())
            if key in self._stored
        ]
        return Totals(found, self._router.up, self._denied, float(self._last_time or 0))

    async def usage(self, replica_id: str) -> UsageSinceStart | None:
        """Return CPU time and memory of one replica, measured now; None if it is unknown or cannot be measured."""
        return await self._meter.usage(replica_id)

    def replicas_changed(self, endpoint: str) -> None:
        """Look at the replicas of an endpoint again, at the next measurement."""
        self._changed.add(endpoint)

    async def write_idle(self, *endpoints: str) -> None:
        """Write the time without requests of endpoints until the last measurement, before somebody reads it."""
        keys = [key for endpoint in endpoints for key in self._keys.get(endpoint, ())]
        known = {key: self._stored[key] for key in keys if key in self._stored}
        found = {key: parts for key, stored in known.items() if (parts := self._idle(key, stored))}
        until, clock = self._last_time, self._last_clock
        if not found or until is None or clock is None:
            return
        try:
            await self.in_thread(partial(self.series.write, Samples(_by_endpoint(found))))
        except (sqlite3.Error, OSError) as error:  # they are written with the next measurement
            self._complain(error)
            return
        for key, stored in known.items():
            if self._stored.get(key) is stored:
                self._stored[key] = replace(stored, until=until, clock=clock)

    async def _look(self) -> None:
        self._progress.begin()
        # Before the router is read: its counts may be those of a deleted endpoint, whose name has just been used again.
        minute = math.floor(time.time()) // MINUTE
        if minute != self._rolled:
            self._changed.update(self._store.names())  # what nobody has announced is found within a minute
        self._due |= self._refresh()
        identity = self._router.identity
        statistics = await self._router.statistics() if self._router.readable else None
        if identity != self._router.identity:  # it is not known which router has answered
            identity, statistics = self._router.identity, None
        replaced = {name: found for name, found in (await self._router.replaced()).items() if name != identity}
        meanwhile = self._replaced_meanwhile()
        at, clock = self._time(), time.monotonic()
        seconds = self._seconds(clock)
        everything = self._first or at // IDLE_WRITTEN_EVERY != self._written
        moved = self._moved(statistics, replaced)
        self._due |= moved | self._busy | self._active
        present = self._versions.keys() - meanwhile  # the next measurement sees the others as they are now
        due = set(present) if everything else self._due & present
        counted, denied = self._count(due, moved - self._versions.keys(), identity, statistics, replaced)
        metered = await self._meter.measure(self._active, at)
        due |= {key for key, counts in metered.counts.items() if counts is not NOTHING and key in present}
        self.versions_looked_at += len(due)
        intervals = {
            key: self._intervals(
                key,
                Interval(
                    at,
                    key[1],
                    seconds,
                    counted.get(key, NOTHING).plus(metered.counts.get(key, NOTHING)),
                    gauges.levels(self._versions[key], *_clusters(key, statistics)),
                ),
                clock,
            )
            for key in due
        }
        for key, counts in counted.items():
            if key not in due:  # the version was removed after its last answers
                intervals[key] = [Interval(at, key[1], seconds, counts, _NO_LEVELS)]
        gone = self._gone(statistics, replaced) if everything else []
        samples = Samples(_by_endpoint(intervals), _flat(metered.usages), self._progress.changed(), gone)
        await self.in_thread(partial(self.series.write, samples))
        self._progress.commit()
        self._progress.forget(gone)
        self._router.forget_replaced(replaced)
        self._commit(intervals, statistics, replaced, at, clock)
        self._denied += denied
        if everything:
            self._written = at // IDLE_WRITTEN_EVERY
            await self._meter.keep([replica for found in self._replicas.values() for replica in found])
        if at // MINUTE != self._rolled:
            self._rolled = at // MINUTE
            await self.in_thread(partial(self.series.roll_up, at))

    def _commit(
        self,
        intervals: Mapping[Key, Sequence[Interval]],
        statistics: RouterStatistics | None,
        replaced: Mapping[str, RouterStatistics],
        at: int,
        clock: float,
    ) -> None:
        """Remember what is stored now."""
        for key, found in intervals.items():
            if key in self._versions:
                self._stored[key] = _Stored(at, clock, found[-1].levels)
                self._sums[key] = total([self._sums.get(key, NOTHING), *(one.counts for one in found)])
        self._due.clear()
        if statistics is not None:
            self._statistics = statistics
            self._begun.clear()
        self._replaced = replaced
        self._last_time, self._last_clock = at, clock

    def _intervals(self, key: Key, newest: Interval, clock: float) -> list[Interval]:
        """Return the newest interval of a version after those in which nobody has looked at it."""
        stored = self._stored.get(key)
        if stored is None or self._last_time is None or self._last_clock is None:
            return [newest]
        if newest.counts is NOTHING and newest.levels == stored.levels and stored.until < self._last_time:
            seconds = clock - stored.clock
            return idle_intervals(key[1], stored.until, newest.time, seconds, stored.levels) or [newest]
        return [*self._idle(key, stored), newest]

    def _idle(self, key: Key, stored: _Stored) -> list[Interval]:
        """Return the intervals of a version without requests between its last stored one and the last measurement."""
        if self._last_time is None or self._last_clock is None:
            return []
        seconds = self._last_clock - stored.clock
        return idle_intervals(key[1], stored.until, self._last_time, seconds, stored.levels)

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

    def _refresh(self) -> set[Key]:
        """Look at the endpoints that have changed, and return the keys of their versions."""
        changed, self._changed = self._changed, set()
        changed.update(self._store.changes.since(self._store_change))
        self._store_change = self._store.changes.number
        for name in changed:
            self._look_at(name)
        return {key for name in changed for key in self._keys.get(name, ())}

    def _replaced_meanwhile(self) -> set[Key]:
        """Return the versions of endpoints that were deleted, and perhaps created again, since they were looked at."""
        found: set[Key] = set()
        for name in self._store.changes.since(self._store_change):
            record = self._store.find(name)
            if record is None or record.deleting or self._created.get(name) != record.created_time:
                found.update(self._keys.get(name, ()))
        return found

    def _look_at(self, name: str) -> None:
        record = self._store.find(name)
        found = {} if record is None or record.deleting else {one.key: one for one in gauges.versions(record)}
        for key in set(self._keys.pop(name, ())) - found.keys():
            for known in (self._versions, self._replicas, self._stored, self._sums):
                known.pop(key, None)
            self._meter.learn(key, ())
        replicas: dict[Key, list[RunningReplica]] = {key: [] for key in found}
        for watched in self._supervisor.of(name):
            key = (watched.replica.endpoint, watched.replica.version)
            if watched.phase in _MEASURED and key in replicas:
                replicas[key].append(watched.replica)
        if record is not None and found:
            if self._created.get(name, record.created_time) != record.created_time:  # deleted and created since
                self._progress.forget(map(_source, found))
                for key in found:
                    self._stored.pop(key, None)
                    self._sums.pop(key, None)
                self._begun.add(name)
            self._created[name] = record.created_time
        for key in found:
            self._meter.learn(key, replicas[key])
        self._versions |= found
        self._replicas |= replicas
        if found:
            self._keys[name] = tuple(found)

    def _moved(self, statistics: RouterStatistics | None, replaced: Mapping[str, RouterStatistics]) -> set[Key]:
        """Return the versions whose counts in any router have changed since the last stored measurement."""
        pairs = [(self._statistics, statistics)]
        pairs += [(self._replaced.get(identity), found) for identity, found in replaced.items()]
        moved: set[str] = set()
        for known, found in pairs:
            if found is None or found is known:
                continue
            before = known.clusters if known is not None else {}
            moved.update(name for name, cluster in found.clusters.items() if before.get(name) is not cluster)
            moved |= before.keys() - found.clusters.keys()
        return {version_of(name) for name in moved}

    def _gone(self, statistics: RouterStatistics | None, replaced: Mapping[str, RouterStatistics]) -> list[str]:
        """Return the sources of versions and replicas that do not exist any more.

        A router counts the answers of a removed version on: another one of its name must not begin with those.

        Parameters:
            statistics: those of the router; None when it could not be read.
            replaced: those of the routers before it, by identity.

        """
        present = statistics if statistics is not None else self._statistics
        if present is None:
            return []  # it is not known yet which versions the router counts
        readings = {"": present, **self._replaced, **replaced}
        for name in self._created.keys() - self._keys.keys():
            if self._store.find(name) is None:  # the router has no route to it any more
                del self._created[name]
        running = [replica_source(replica) for found in self._replicas.values() for replica in found]
        kept = {_DENIED, *(f"{_DENIED}@{identity}" for identity in readings), *running}
        for key in self._versions:
            kept |= {_source(key), _answers_source(key)}
        for identity, found in readings.items():
            for key in {version_of(name) for name in found.clusters}:
                kept |= {_source(key, identity)} if key in self._versions else set()
                kept.add(_answers_source(key, identity))
        return self._progress.gone(kept)

    def _count(
        self,
        due: Iterable[Key],
        removed: Iterable[Key],
        identity: str,
        statistics: RouterStatistics | None,
        replaced: Mapping[str, RouterStatistics],
    ) -> tuple[dict[Key, Counts], int]:
        """Return the increments of some versions in all routers, and that of denied requests.

        Versions with requests are noted as active.

        A version without requests stays active for one more measurement, for the last counts of its replicas.

        Parameters:
            due: the versions.
            removed: versions that do not exist any more, but whose counts have changed.
            identity: that of the counters of the router.
            statistics: its statistics; None when it could not be read.
            replaced: those of the routers before it, by identity.

        """
        before, self._busy = self._busy, set()
        counts: dict[Key, Counts] = {}
        for key in due:
            known = [self._increment(key, name, found, replaced=True) for name, found in replaced.items()]
            if statistics is not None:
                known.append(self._increment(key, identity, statistics))
            if (new := total(known)) is not NOTHING:
                counts[key] = new
            present = [cluster for found in (statistics, *replaced.values()) for cluster in _clusters(key, found)]
            if new.requests or new.mirrored or any(cluster.active for cluster in present):
                self._busy.add(key)
        for key in removed:
            known = [self._answered(key, name, found, replaced=True) for name, found in replaced.items()]
            if statistics is not None:
                known.append(self._answered(key, identity, statistics))
            if (new := total(known)) is not NOTHING and key[0] in self._keys and key[0] not in self._begun:
                counts[key] = new
        denied = sum(
            self._progress.advance(f"{_DENIED}@{name}", name, Counts(requests=found.denied), after=_DENIED).requests
            for name, found in replaced.items()
        )
        if statistics is not None:
            denied += self._progress.advance(_DENIED, identity, Counts(requests=statistics.denied)).requests
        self._active = self._busy | before
        if self._first and self._last_time is None and self._router.adopted:
            counts = {}  # the time that these counts cover is unknown
        self._first = self._first and statistics is None
        return counts, denied

    def _increment(self, key: Key, identity: str, statistics: RouterStatistics, *, replaced: bool = False) -> Counts:
        """Return the increment of a version in one router since the last measurement."""
        cluster, mirror = _clusters(key, statistics)
        mirrored = mirror.counts.requests
        reading = cluster.counts.plus(Counts(mirrored=mirrored) if mirrored else NOTHING)
        source = _source(key, identity if replaced else "")
        new = NOTHING
        # Most versions have never had a request.
        if reading is not NOTHING or self._progress.knows(source) or (replaced and self._progress.knows(_source(key))):
            new = self._progress.advance(source, identity, reading, after=_source(key) if replaced else "")
        if cluster.answers is None:
            return new
        given = self._answered(key, identity, statistics, replaced=replaced)
        # The first answers that are counted for this name may still be those of the deleted endpoint which had it. Only
        # the replicas' own are sure: their counters have begun with this endpoint.
        return new.answered(given.at_most(new) if key[0] in self._begun else given)

    def _answered(self, key: Key, identity: str, statistics: RouterStatistics, *, replaced: bool = False) -> Counts:
        """Return the answers of a version in one router since the last measurement."""
        cluster, _ = _clusters(key, statistics)
        if cluster.answers is None:
            return NOTHING
        after = _answers_source(key) if replaced else ""
        return self._progress.advance(
            _answers_source(key, identity if replaced else ""), identity, cluster.answers, after=after
        )

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


def _clusters(key: Key, statistics: RouterStatistics | None) -> tuple[Cluster, Cluster]:
    known = statistics.clusters if statistics is not None else {}
    return known.get(cluster_name(*key), _NO_CLUSTER), known.get(mirror_name(*key), _NO_CLUSTER)


def _by_endpoint(intervals: Mapping[Key, Sequence[Interval]]) -> dict[str, list[Interval]]:
    found: dict[str, list[Interval]] = {}
    for (endpoint, _), parts in intervals.items():
        found.setdefault(endpoint, []).extend(parts)
    return found


def _flat(usages: Mapping[Key, Sequence[Usage]]) -> dict[str, list[Usage]]:
    found: dict[str, list[Usage]] = {}
    for (endpoint, _), measured in usages.items():
        found.setdefault(endpoint, []).extend(measured)
    return found


def _source(key: Key, replaced: str = "") -> str:
    """Return the source of a version's counts in the router, or in a replaced one with an identity."""
    return f"router:{cluster_name(*key)}" + (f"@{replaced}" if replaced else "")


def _answers_source(key: Key, replaced: str = "") -> str:
    return f"answers:{cluster_name(*key)}" + (f"@{replaced}" if replaced else "")
