"""The replica meter reads request counts, CPU time and memory of replicas."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from mljupyter.controller.metrics.replica_counts import ReplicaAsker
from mljupyter.runtimes.base import RunningReplica, Runtimes, RuntimeUnavailableError
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
        counts = await self._count(replicas, active)
        due = {key: found for key, found in replicas.items() if everything or key in active}
        usages = await self._use(due, at)
        return Metered(counts, usages)

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

    async def _count(
        self, replicas: Mapping[Key, Sequence[RunningReplica]], active: Collection[Key]
    ) -> dict[Key, Counts]:
        asked = [
            replica
            for key, found in replicas.items()
            for replica in found
            if key in active or replica.id not in self._worker_pids
        ]
        answers = await self._asker.ask(asked)
        for replica_id, answer in answers.items():
            self._worker_pids[replica_id] = answer.worker_pid or 0
        new = {
            replica.id: self._progress.advance(replica_source(replica), "", answers[replica.id].counts)
            for replica in asked
            if replica.id in answers
        }
        return {
            key: total(counts)
            for key, found in replicas.items()
            if (counts := [new[replica.id] for replica in found if replica.id in new])
        }

    async def _use(self, replicas: Mapping[Key, Sequence[RunningReplica]], at: int) -> dict[Key, list[Usage]]:
        by_target: dict[str, list[RunningReplica]] = {}
        for found in replicas.values():
            for replica in found:
                by_target.setdefault(replica.target, []).append(replica)
        usages: dict[Key, list[Usage]] = {}
        pids = {replica_id: pid for replica_id, pid in self._worker_pids.items() if pid}
        for target, found in by_target.items():
            try:
                used = await self._runtimes.of(target).usage(found, pids)
            except RuntimeUnavailableError as error:
                log.debug("no usage of replicas on %s: %s", target, error.message)
                continue
            for replica in found:
                if replica.id in used:
                    measured = used[replica.id]
                    usage = self._usage(replica, measured.cpu_seconds, measured.memory_bytes, at)
                    usages.setdefault((replica.endpoint, replica.version), []).extend(usage)
        return usages

    def _usage(self, replica: RunningReplica, cpu_seconds: float, memory_bytes: int, at: int) -> list[Usage]:
        now = time.monotonic()
        before = self._used.get(replica.id)
        self._used[replica.id] = (now, cpu_seconds)
        if before is None:
            return []
        cores = max(cpu_seconds - before[1], 0.0) / max(now - before[0], 1e-3)
        self._latest[replica.id] = Usage(at, replica.version, replica.id, cores, memory_bytes)
        return [self._latest[replica.id]]


def replica_source(replica: RunningReplica) -> str:
    """Return the name of a replica as a source of counts."""
    return f"replica:{replica.id}"
