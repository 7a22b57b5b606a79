"""What a replica uses: CPU and memory of a process with all that it has started, or of a container."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import psutil

from mljupyter.runtimes.base import RuntimeUnavailableError


@dataclass(frozen=True)
class Usage:
    """CPU seconds since the start, and memory in bytes.

    Of processes, memory is their proportional share of pages (PSS) on Linux, else the resident set; what is measured
    all the time is the resident set in any case.
    """

    cpu_seconds: float
    memory_bytes: int


def meter(replica_id: str, pid: int | None) -> Callable[[], Usage]:
    """Return what measures a replica: a process by its `pid`, a container by its id where `pid` is None.

    The function raises `RuntimeUnavailableError` when the replica is gone.
    """
    if pid is not None:
        return partial(of_process, pid)
    from mljupyter.runtimes.docker.container_spec import connect

    return partial(_of_container, connect(), f"mljupyter-{replica_id}")


def of_process(pid: int) -> Usage:
    """Return what a process and all below it use; raise `RuntimeUnavailableError` when it is gone."""
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
            memory += _memory(process)
        except psutil.Error:
            continue  # it has just ended
    return Usage(cpu, memory)


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.AccessDenied):
        return int(process.memory_info().rss)


def _of_container(client: Any, name: str) -> Usage:
    import requests
    from docker.errors import DockerException

    try:
        return of_statistics(client.api.stats(name, stream=False, one_shot=True))
    except (DockerException, requests.RequestException, KeyError) as error:
        raise RuntimeUnavailableError(f"the container {name} cannot be measured: {error}") from None


def of_statistics(stats: Mapping[str, Any]) -> Usage:
    """Return what the engine's statistics of one container tell; the file cache is no memory in use.

    Example:
        >>> of_statistics({
        ...     "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        ...     "memory_stats": {"usage": 5000, "stats": {"inactive_file": 1000}},
        ... })
        Usage(cpu_seconds=2.5, memory_bytes=4000)

    """
    memory = stats["memory_stats"]
    cached = memory.get("stats", {}).get("inactive_file", 0)  # as `docker stats` counts: the cache can go
    return Usage(stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, max(0, memory["usage"] - cached))
