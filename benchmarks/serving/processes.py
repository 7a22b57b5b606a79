"""The processes of a server: what they use, and how they are ended. Each is known by its pid and its start time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self

import psutil

_SAMPLE_SECONDS = 0.5
_GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def tree(roots: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Return the given processes that live, and all that descend from them."""
    found: dict[int, psutil.Process] = {}
    for root in roots:
        with suppress(*_GONE):
            found.update({process.pid: process for process in (root, *root.children(recursive=True))})
    return list(found.values())


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Return the processor time that processes have used so far."""
    total = 0.0
    for process in processes:
        with suppress(*_GONE):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def end(processes: list[psutil.Process], within: float) -> None:
    """Ask processes to end, and end those that do not in time."""
    for process in processes:
        with suppress(*_GONE):
            process.terminate()
    _, alive = psutil.wait_procs(processes, within)
    for process in alive:
        with suppress(*_GONE):
            process.kill()
    psutil.wait_procs(alive, within)


class PeakMemory:
    """Samples the resident memory of a server's processes while a load runs; pages that they share count for each."""

    def __init__(self, processes: Callable[[], list[psutil.Process]]) -> None:
        self._processes = processes
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.megabytes = 0.0

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._sample()

    def _watch(self) -> None:
        while not self._stopped.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        total = 0
        for process in self._processes():
            with suppress(*_GONE):
                total += process.memory_info().rss
        self.megabytes = max(self.megabytes, total / 1e6)
