"""The replica meter reads request counts, CPU time and memory of replicas."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mljupyter.controller.metrics.replica_counts import IDLE_SECONDS, ReplicaAsker, ReplicaReport
from mljupyter.runtimes.base import RunningReplica, Runtimes, RuntimeUnavailableError
from mljupyter.runtimes.base import Usage as UsageSinceStart
from mljupyter.telemetry.metrics.progress import Progress
from mljupyter.telemetry.metrics.samples import Counts, Usage, total

IDLE_EVERY = 10  # measurements; replicas with requests are measured at each one
Key = tuple[str, str]  # endpoint and version

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Metered:
    """The results of one reading of the replicas, by endpoint and version."""

    counts: Mapping[Key, Counts] = field(default_factory=dict)
    usages: Mapping[Key, Sequence[Usage]] = field(default_factory=dict)


class ReplicaMeter:
    """Measures replicas, busy ones more often than idle ones.

    Replicas with requests are read and measured each time. For the others, CPU time and memory are measured each tenth
    time, and their counters are read once, for the process that runs their script.

    Replicas that measure themselves are asked for CPU time and memory together with their counters; those without
    requests every ten seconds, or less often if there are many. One that does not report them has no usage.

    Parameters:
        runtimes: measure CPU time and memory.
        progress: the counters of each replica at its last reading.

    """

    def __init__(self, runtimes: Runtimes, progress: Progress) -> None:
        self._runtimes = runtimes
        self._progress = progress
        self._asker = ReplicaAsker()
        self._looks = 0
        self._worker_pids: dict[str, int] = {}
        self._used: dict[str, tuple[float, float]] = {}  # time of the measurement, and the CPU time until then
        self._latest: dict[str, Usage] = {}

    async def measure(
        self, replicas: Mapping[Key, Sequence[RunningReplica]], active: Collection[Key], at: int
    ) -> Metered:
        """Measure replicas.

        Parameters:
            replicas: all running replicas, by endpoint and version.
            active: the versions with requests.
            at: the time of the measurement.

        """
        everything = self._looks % IDLE_EVERY == 0
        self._looks += 1
        reports = await self._ask(replicas, active)
        used = {replica_id: report.usage for replica_id, report in reports.items() if report.usage is not None}
        due = [one for key, found in replicas.items() if everything or key in active for one in found]
        used |= await self._measured([replica for replica in due if not replica.measures_itself])
        usages: dict[Key, list[Usage]] = {}
        for key, found in replicas.items():
            samples = [sample for one in found if one.id in used and (sample := self._sample(one, used[one.id], at))]
            if everything:
                samples += self._kept([one for one in found if one.measures_itself and one.id not in used], at)
            if samples:
                usages[key] = samples
        return Metered(self._counts(replicas, reports), usages)

    def latest(self, replicas: Sequence[RunningReplica]) -> tuple[list[Usage], dict[str, float]]:
        """Return the latest usage of replicas, and the CPU time of each since its start, in seconds."""
        usages = [self._latest[replica.id] for replica in replicas if replica.id in self._latest]
        return usages, {replica.id: self._used[replica.id][1] for replica in replicas if replica.id in self._used}

    async def keep(self, replicas: Sequence[RunningReplica]) -> None:
        """Forget all replicas but these."""
        await self._asker.keep(replicas)
        kept = {replica.id for replica in replicas}
        for known in (self._worker_pids, self._used, self._latest):
            for replica_id in known.keys() - kept:
                del known[replica_id]

    async def _ask(
        self, replicas: Mapping[Key, Sequence[RunningReplica]], active: Collection[Key]
    ) -> dict[str, ReplicaReport]:
        busy, idle = [], []
        for key, found in replicas.items():
            for replica in found:
                if key in active or replica.id not in self._worker_pids:
                    busy.append(replica)
                elif replica.measures_itself:
                    idle.append(replica)
        reports = await self._asker.ask(busy, idle)
        for replica_id, report in reports.items():
            self._worker_pids[replica_id] = report.worker_pid or 0
        return reports

    def _counts(
        self, replicas: Mapping[Key, Sequence[RunningReplica]], reports: Mapping[str, ReplicaReport]
    ) -> dict[Key, Counts]:
        """Return the increments of the counters since the last report of each replica."""
        return {
            key: total(
                [
                    self._progress.advance(replica_source(replica), "", reports[replica.id].counts)
                    for replica in found
                    if replica.id in reports
                ]
            )
            for key, found in replicas.items()
            if any(replica.id in reports for replica in found)
        }

    async def _measured(self, replicas: Sequence[RunningReplica]) -> dict[str, UsageSinceStart]:
        """Return the usage of replicas that their runtimes measure, by id."""
        by_target: dict[str, list[RunningReplica]] = {}
        for replica in replicas:
            by_target.setdefault(replica.target, []).append(replica)
        used: dict[str, UsageSinceStart] = {}
        pids = {replica_id: pid for replica_id, pid in self._worker_pids.items() if pid}
        for target, found in by_target.items():
            try:
                used |= await self._runtimes.of(target).usage(found, pids)
            except RuntimeUnavailableError as error:
                log.debug("no usage of replicas on %s: %s", target, error.message)
        return used

    def _sample(self, replica: RunningReplica, used: UsageSinceStart, at: int) -> Usage | None:
        """Return the cores in use since the last measurement of a replica, and its memory; None at the first one."""
        now = time.monotonic()
        before = self._used.get(replica.id)
        self._used[replica.id] = (now, used.cpu_seconds)
        if before is None:
            return None
        cores = max(used.cpu_seconds - before[1], 0.0) / max(now - before[0], 1e-3)
        self._latest[replica.id] = Usage(at, replica.version, replica.id, cores, used.memory_bytes)
        return self._latest[replica.id]

    def _kept(self, replicas: Sequence[RunningReplica], at: int) -> list[Usage]:
        """Return the last usage of replicas that were not asked in time, so that sums of a version have all of them."""
        late = time.monotonic() - IDLE_SECONDS
        return [
            replace(self._latest[replica.id], time=at)
            for replica in replicas
            if replica.id in self._latest and self._used[replica.id][0] < late
        ]


def replica_source(replica: RunningReplica) -> str:
    """Return the name of a replica as a source of counts."""
    return f"replica:{replica.id}"
