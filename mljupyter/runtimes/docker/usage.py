"""CPU time and memory of containers, as the Docker engine reports them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.runtimes.base import RuntimeUnavailableError, Usage

if TYPE_CHECKING:
    from docker import DockerClient

_EVERY = 5.0  # seconds: an answer costs the engine some milliseconds


class ContainerUsage:
    """Asks the engine for each container's usage, at most every five seconds. Blocks."""

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}

    def measure(self, client: DockerClient, names: Mapping[str, str]) -> dict[str, Usage]:
        """Return the usage of the containers that are due and run.

        Parameters:
            client: the engine.
            names: replica id to the container's name.

        """
        now = time.monotonic()
        self._asked = {replica_id: asked for replica_id, asked in self._asked.items() if now - asked < 2 * _EVERY}
        due = [replica_id for replica_id in names if now - self._asked.get(replica_id, -_EVERY) >= _EVERY]
        found = {}
        for replica_id in due:
            self._asked[replica_id] = now
            try:
                found[replica_id] = usage_of(client, names[replica_id])
            except RuntimeUnavailableError:
                continue  # it has ended, or the engine does not answer
        return found


def usage_of(client: DockerClient, name: str) -> Usage:
    """Return the usage of one container.

    Raises:
        RuntimeUnavailableError: when the container is gone, or the engine does not answer.

    """
    import requests
    from docker.errors import DockerException

    try:
        # One-shot: without it the engine takes two readings, a second apart.
        return of_statistics(client.api.stats(name, stream=False, one_shot=True))
    except (DockerException, requests.RequestException, KeyError) as error:
        raise RuntimeUnavailableError(f"the container {name} cannot be measured: {error}") from None


def of_statistics(stats: Mapping[str, Any]) -> Usage:
    """Return the usage in the engine's statistics of one container. The file cache does not count.

    Example:
        >>> of_statistics({
        ...     "cpu_stats": {"cpu_usage": {"total_usage": 2_500_000_000}},
        ...     "memory_stats": {"usage": 5000, "stats": {"inactive_file": 1000}},
        ... })
        Usage(cpu_seconds=2.5, memory_bytes=4000)

    """
    memory = stats["memory_stats"]
    cached = memory.get("stats", {}).get("inactive_file", 0)  # as `docker stats` counts: the engine can drop it
    return Usage(stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9, max(0, memory["usage"] - cached))
