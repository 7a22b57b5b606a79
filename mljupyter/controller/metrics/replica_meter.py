"""The replica meter reads request counts, CPU time and memory of replicas."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mljupyter.controller.metrics.replica_counts import IDLE_SECONDS, ReplicaAsker, ReplicaReport
from mljupyter.runtimes.base import RunningReplica, Runtimes, RuntimeUnavailableError
from mljupyter.runtimes.base import Usage as UsageSinceStart
from mljupyter.telemetry.metrics.progress import Progress
from mljupyter.telemetry.metrics.samples import Counts, Usage, total

IDLE_EVERY = 10  # measurements; replicas with requests are measured at each one
IDLE_AT_A_TIME = 4  # replicas without requests that are asked at one measurement
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
    requests every ten seconds, or less often if there are more than 40, so that they cost the same for any number. One
    that does not report them has no usage.

    Parameters:
        runtimes: measure CPU time and memory.
        progress: the counters of each replica at its last reading.

    """

    def __init__(self, runtimes: Runtimes, progress: Progress) -> None:
        self._runtimes = runtimes
        self._progress = progress
        self._asker = ReplicaAsker()
        self._looks = 0
        self._replicas: dict[Key, Sequence[RunningReplica]] = {}
        self._of: dict[str, tuple[Key, RunningReplica]] = {}
        self._silent: dict[str, None] = {}  # replicas that have not answered yet
        self._turns: OrderedDict[str, None] = OrderedDict()  # those that measure themselves, the next one first
        self._worker_pids: dict[str, int] = {}
        self._used: dict[str, tuple[float, float]] = {}  # time of the measurement, and the CPU time until then
        self._latest: dict[str, Usage] = {}

    def learn(self, key: Key, replicas: Sequence[RunningReplica]) -> None:
        """Replace the running replicas of a version; none: it is not measured any more.

        Parameters:
            key: endpoint and version.
            replicas: its running replicas.

        """
        for replica in self._replicas.pop(key, ()):
            self._of.pop(replica.id, None)
        if replicas:
            self._replicas[key] = replicas
        for replica in replicas:
            self._of[replica.id] = (key, replica)
            if replica.id not in self._worker_pids:
                self._silent[replica.id] = None
            if replica.measures_itself:
                self._turns.setdefault(replica.id)

    async def measure(self, active: Collection[Key], at: int) -> Metered:
        """Measure replicas.

        Parameters:
            active: the versions with requests.
            at: the time of the measurement.

        """
        everything = self._looks % IDLE_EVERY == 0
        self._looks += 1
        reports = await self._ask(active)
        used = {replica_id: report.usage for replica_id, report in reports.items() if report.usage is not None}
        keys = self._replicas if everything else [key for key in active if key in self._replicas]
        due = [replica for key in keys for replica in self._replicas[key]]
        used |= await self._measured([replica for replica in due if not replica.measures_itself])
        usages: dict[Key, list[Usage]] = {}
        for replica_id, usage in used.items():
            if (known := self._of.get(replica_id)) is not None and (sample := self._sample(known[1], usage, at)):
                usages.setdefault(known[0], []).append(sample)
        for key in keys if everything else ():
            others = [one for one in self._replicas[key] if one.measures_itself and one.id not in used]
            if kept := self._kept(others, at):
                usages.setdefault(key, []).extend(kept)
        return Metered(self._counts(reports), usages)

    def latest(self, replicas: Sequence[RunningReplica]) -> tuple[list[Usage], dict[str, float]]:
        """Return the latest usage of replicas, and the CPU time of each since its start, in seconds."""
        usages = [self._latest[replica.id] for replica in replicas if replica.id in self._latest]
        return usages, {replica.id: self._used[replica.id][1] for replica in replicas if replica.id in self._used}

    async def usage(self, replica_id: str) -> UsageSinceStart | None:
        """Return CPU time and memory of one replica, measured now; None if it is unknown or cannot be measured."""
        if (known := self._of.get(replica_id)) is None:
            return None
        replica = known[1]
        if replica.measures_itself:
            return await self._asker.usage(replica)
        return (await self._measured([replica])).get(replica_id)

    async def keep(self, replicas: Sequence[RunningReplica]) -> None:
        """Forget all replicas but these."""
        await self._asker.keep(replicas)
        kept = {replica.id for replica in replicas}
        for known in (self._worker_pids, self._used, self._latest):
            for replica_id in known.keys() - kept:
                del known[replica_id]

    async def _ask(self, active: Collection[Key]) -> dict[str, ReplicaReport]:
        busy = {one.id: one for key in active for one in self._replicas.get(key, ())}
        for replica_id in list(self._silent):
            if replica_id in self._of:
                busy[replica_id] = self._of[replica_id][1]
            else:
                del self._silent[replica_id]
        idle = [self._of[replica_id][1] for replica_id in self._next_turns() if replica_id not in busy]
        reports = await self._asker.ask(busy.values(), idle)
        for replica_id, report in reports.items():
            self._worker_pids[replica_id] = report.worker_pid or 0
            self._silent.pop(replica_id, None)
        return reports

    def _next_turns(self) -> list[str]:
        """Return the replicas whose turn it is, although they may have no requests."""
        found: list[str] = []
        for _ in range(min(IDLE_AT_A_TIME, len(self._turns))):
            replica_id = next(iter(self._turns))
            if replica_id in self._of:
                self._turns.move_to_end(replica_id)
                found.append(replica_id)
            else:
                del self._turns[replica_id]
        return found

    def _counts(self, reports: Mapping[str, ReplicaReport]) -> dict[Key, Counts]:
        """Return the increments of the counters since the last report of each replica."""
        found: dict[Key, list[Counts]] = {}
        for replica_id, report in reports.items():
            if (known := self._of.get(replica_id)) is not None:
                key, replica = known
                found.setdefault(key, []).append(self._progress.advance(replica_source(replica), "", report.counts))
        return {key: total(counts) for key, counts in found.items()}

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
        self._latest[replica.id] = Usage(
            at, replica.version, replica.id, cores, used.memory_bytes, used.gpu_percent, used.gpu_memory_bytes
        )
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
