"""CPU time and memory of replicas that are processes: the server, its worker, and all processes below them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import psutil

from mljupyter.runtimes.base import RunningReplica, RuntimeUnavailableError, Usage

_LOOK_FOR_CHILDREN_EVERY = 60.0


@dataclass
class _Process:
    """A process that is measured, with the CPU time seen last."""

    process: psutil.Process
    cpu_seconds: float = 0.0


class ProcessUsage:
    """Measures replicas by their processes.

    It searches all processes of the machine for children once a minute, and when a replica or its worker is new. At
    other times it reads only the known ones, which costs about 30 microseconds each. Memory is resident memory: pages
    that processes share count in each of them, since dividing them would cost a hundred times as much.
    """

    def __init__(self) -> None:
        self._known: dict[str, dict[int, _Process]] = {}
        self._ended: dict[str, float] = {}
        self._looked = float("-inf")

    def measure(self, replicas: Iterable[RunningReplica], worker_pids: Mapping[str, int]) -> dict[str, Usage]:
        """Return the usage of each replica that runs.

        Parameters:
            replicas: the replicas to measure.
            worker_pids: replica id to the pid of its worker, which may not be a child of the replica's process.

        """
        wanted = {replica.id: replica for replica in replicas if replica.pid is not None}
        for replica_id in wanted.keys() - self._known.keys():
            self._known[replica_id] = {}
        if any(self._incomplete(replica_id, worker_pids.get(replica_id)) for replica_id in wanted) or self._due():
            self._look(wanted, worker_pids)
        found = {replica_id: self._usage(replica_id) for replica_id in wanted}
        return {replica_id: usage for replica_id, usage in found.items() if usage is not None}

    def forget(self, replica_id: str) -> None:
        """Forget a replica that has ended."""
        self._known.pop(replica_id, None)
        self._ended.pop(replica_id, None)

    def _incomplete(self, replica_id: str, worker_pid: int | None) -> bool:
        known = self._known[replica_id]
        return not known or (worker_pid is not None and worker_pid not in known)

    def _due(self) -> bool:
        return time.monotonic() - self._looked > _LOOK_FOR_CHILDREN_EVERY

    def _look(self, replicas: Mapping[str, RunningReplica], worker_pids: Mapping[str, int]) -> None:
        self._looked = time.monotonic()
        children: dict[int, list[int]] = {}
        for process in psutil.process_iter(["ppid"]):
            children.setdefault(process.info["ppid"], []).append(process.pid)
        for replica_id, replica in replicas.items():
            known = self._known[replica_id]
            roots = [pid for pid in (replica.pid, worker_pids.get(replica_id)) if pid]
            for pid in {pid for root in roots for pid in _tree(root, children)} - known.keys():
                try:
                    known[pid] = _Process(psutil.Process(pid))
                except psutil.Error:
                    continue

    def _usage(self, replica_id: str) -> Usage | None:
        memory, known = 0, self._known[replica_id]
        for pid, item in list(known.items()):
            try:
                with item.process.oneshot():
                    times = item.process.cpu_times()
                    memory += item.process.memory_info().rss
                item.cpu_seconds = times.user + times.system
            except psutil.Error:
                del known[pid]
                self._ended[replica_id] = self._ended.get(replica_id, 0.0) + item.cpu_seconds
        if not known:
            return None
        running = sum(item.cpu_seconds for item in known.values())
        return Usage(cpu_seconds=self._ended.get(replica_id, 0.0) + running, memory_bytes=memory)


def _tree(root: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    yield root
    for child in children.get(root, ()):
        yield from _tree(child, children)


def usage_of(pid: int) -> Usage:
    """Return the usage of a process and all processes below it.

    Memory is the proportional share of pages (PSS) on Linux, and the resident set elsewhere. Reading PSS is slow: this
    function is for one replica that is being profiled.

    Raises:
        RuntimeUnavailableError: when the process is gone.

    """
    try:
        first = psutil.Process(pid)
        tree = [first, *first.children(recursive=True)]
    except psutil.Error:
        raise RuntimeUnavailableError(f"the replica's process {pid} is gone.") from None
    cpu, memory = 0.0, 0
    for process in tree:
        try:
            times = process.cpu_times()
            cpu += times.user + times.system
            memory += _shared_memory(process)
        except psutil.Error:
            continue  # it has just ended
    return Usage(cpu, memory)


def _shared_memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.AccessDenied):
        return int(process.memory_info().rss)
