"""The counters of all router pods together: of requests, which only grow although pods come and go, and of load."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.engine.scaling.demand import Reading
from mljupyter.engine.scaling.router_scaler import routing_time
from mljupyter.kubernetes.operator.router_pod import RouterLoad
from mljupyter.telemetry.metrics.progress import Progress
from mljupyter.telemetry.metrics.router_statistics import Cluster, RouterStatistics
from mljupyter.telemetry.metrics.samples import NOTHING, Counts

_NOTHING = RouterStatistics({})


@dataclass
class _Demand:
    """The finished requests of a version so far, and the last reading of each router."""

    finished: dict[float, int] = field(default_factory=dict)
    seconds: float = 0.0
    last: dict[str, Reading] = field(default_factory=dict)


class RouterCounters:
    """Adds up what router pods report. Each has an identity, which changes when its counters start at zero again.

    Attributes:
        clusters_added_up: how often the statistics of a cluster were added up.

    """

    def __init__(self) -> None:
        self._progress = Progress({})
        self._totals: dict[str, Counts] = {}
        self._denied = 0
        self._readings: dict[str, RouterStatistics] = {}
        self._sum = RouterStatistics({})
        self.clusters_added_up = 0
        self._counts: dict[str, tuple[dict[str, RequestCounts], RequestCounts]] = {}
        self._demands: dict[str, _Demand] = {}
        self._demand_readings: dict[str, Mapping[str, Reading]] = {}
        self._demand_sum: dict[str, Reading] = {}

    def statistics(self, readings: Iterable[tuple[str, RouterStatistics]]) -> RouterStatistics:
        """Return the sum of the statistics of routers, each given with its identity.

        It is the same object while nothing changes, and has the same object for each version that stays. A version that
        no router reports keeps its counts: a new router has none of a version before its first request.
        """
        before, self._readings = self._readings, dict(readings)
        moved = {name for identity in before.keys() - self._readings.keys() for name in before[identity].clusters}
        denied = self._denied
        self._progress.begin()
        for identity, reading in self._readings.items():
            known = before.get(identity, _NOTHING)
            if known is reading:
                continue
            denied += self._progress.advance(f"{identity}:", identity, Counts(requests=reading.denied)).requests
            for name, cluster in reading.clusters.items():
                if known.clusters.get(name) is not cluster:
                    new = self._progress.advance(f"{identity}:{name}", identity, cluster.counts)
                    if cluster.answers is not None:
                        given = self._progress.advance(f"{identity}:answers:{name}", identity, cluster.answers)
                        new = new.answered(given)
                    self._totals[name] = self._totals.get(name, NOTHING).plus(new)
                    moved.add(name)
            moved |= known.clusters.keys() - reading.clusters.keys()
        self._progress.commit()
        self.clusters_added_up += len(moved)
        if moved or denied != self._denied:
            self._denied = denied
            self._sum = RouterStatistics({**self._sum.clusters, **{name: self._of(name) for name in moved}}, denied)
        return self._sum

    def begin(self, readings: Iterable[tuple[str, RouterStatistics]]) -> RouterStatistics:
        """Return statistics without counts: an earlier operator has counted what these routers have so far.

        Parameters:
            readings: those of all routers, as for `statistics`.

        """
        found = self.statistics(readings)
        self._totals, self._denied = dict.fromkeys(self._totals, NOTHING), 0
        self._sum = RouterStatistics({name: self._of(name) for name in found.clusters})
        return self._sum

    def forget(self, name: str) -> None:
        """Forget the statistics of a cluster that is removed: another one of its name counts from zero."""
        if name in self._totals:
            self._totals[name] = NOTHING
            self._sum = RouterStatistics({**self._sum.clusters, name: self._of(name)}, self._sum.denied)

    def _of(self, name: str) -> Cluster:
        """Return the sum of one cluster over the routers that report it."""
        found = [reading.clusters[name] for reading in self._readings.values() if name in reading.clusters]
        remaining: int | None = None
        for cluster in found:
            remaining = _least(remaining, cluster.remaining_tries)
        return Cluster(self._totals[name], sum(cluster.active for cluster in found), remaining)

    def counts(self, cluster: str, readings: Iterable[tuple[str, RequestCounts]]) -> RequestCounts:
        """Return the sum of the counts of one version, from those of routers with their identities."""
        last, total = self._counts.get(cluster, ({}, RequestCounts()))
        present = dict(readings)
        for identity, reading in present.items():
            total = total.plus(reading.since(last[identity]) if identity in last else reading)
        self._counts[cluster] = ({**last, **present}, total)
        return total

    def demand(self, readings: Iterable[tuple[str, Mapping[str, Reading]]]) -> dict[str, Reading]:
        """Return the sum of the demand of each version, from that of routers with their identities.

        It is the same object while the objects of all routers are.
        """
        present = dict(readings)
        before, self._demand_readings = self._demand_readings, present
        if present.keys() == before.keys() and all(present[identity] is before[identity] for identity in present):
            return self._demand_sum
        found: dict[str, Reading] = {}
        now = time.monotonic()
        for identity, clusters in present.items():
            for name, reading in clusters.items():
                demand = self._demands.setdefault(name, _Demand())
                _advance(demand, identity, reading)
                sums = found.get(name, Reading(now, 0))
                found[name] = Reading(
                    now,
                    sums.active + reading.active,
                    sums.again + reading.again,
                    tuple(sorted(demand.finished.items())),
                    demand.seconds,
                )
        self._demand_sum = found
        return found


@dataclass(frozen=True)
class MeanLoad:
    """The load of router pods between two readings: cores that a pod has used, and the time to route a request."""

    cores: float
    routing: float | None


class LoadMeter:
    """Measures the load of router pods between two readings. Each pod has an identity, as for `RouterCounters`."""

    def __init__(self) -> None:
        self._last: dict[str, RouterLoad] = {}

    def measure(self, readings: Iterable[tuple[str, RouterLoad]]) -> MeanLoad | None:
        """Return the mean load since the last reading, of the pods that were in it; None when there is none."""
        before, self._last = self._last, dict(readings)
        elapsed = 0.0
        turns: dict[float, int] = {}
        cores = []
        for identity, reading in self._last.items():
            earlier = before.get(identity)
            if earlier is None or reading.time <= earlier.time or reading.cpu_seconds < earlier.cpu_seconds:
                continue
            elapsed += reading.time - earlier.time
            cores.append((reading.cpu_seconds - earlier.cpu_seconds) / (reading.time - earlier.time))
            for duration, count in reading.turns.items():
                turns[duration] = turns.get(duration, 0) + max(count - earlier.turns.get(duration, 0), 0)
        if not cores:
            return None
        return MeanLoad(sum(cores) / len(cores), routing_time(turns.items(), elapsed))


def _advance(demand: _Demand, identity: str, reading: Reading) -> None:
    before = demand.last.get(identity)
    earlier = dict(before.finished) if before is not None and before.count <= reading.count else {}
    for upper, count in reading.finished:
        demand.finished[upper] = demand.finished.get(upper, 0) + count - earlier.get(upper, 0)
    demand.seconds += reading.seconds - (before.seconds if before is not None and earlier else 0.0)
    demand.last[identity] = reading


def _least(one: int | None, other: int | None) -> int | None:
    known = [number for number in (one, other) if number is not None]
    return min(known) if known else None
