"""CPU time and memory of containers, from the engine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mljupyter.runtimes.usage import Usage, of_statistics

if TYPE_CHECKING:
    from docker import DockerClient

_EVERY = 5.0  # seconds: an answer costs the engine some milliseconds


class ContainerUsage:
    """Asks the engine for each container's usage, at most every five seconds. Blocks."""

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}

    def measure(self, client: DockerClient, names: Mapping[str, str]) -> dict[str, Usage]:
        """Return the usage of containers whose turn it is, and that run.

        Parameters:
            client: the engine.
            names: replica id to the container's name.

        """
        import requests
        from docker.errors import DockerException

        now = time.monotonic()
        self._asked = {replica_id: asked for replica_id, asked in self._asked.items() if now - asked < 2 * _EVERY}
        due = [replica_id for replica_id in names if now - self._asked.get(replica_id, 0.0) >= _EVERY]
        found = {}
        for replica_id in due:
            self._asked[replica_id] = now
            try:
                # One-shot: without it the engine takes two readings, a second apart.
                found[replica_id] = of_statistics(client.api.stats(names[replica_id], stream=False, one_shot=True))
            except (DockerException, requests.RequestException, KeyError):  # it has ended, or the engine is away
                continue
        return found
