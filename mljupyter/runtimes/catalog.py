"""Catalog of the ways to run replicas under the controller of this machine. A new one is added to `KINDS`."""

from __future__ import annotations

from mljupyter.runtimes.docker.kind import KIND as CONTAINERS
from mljupyter.runtimes.process.runtime import KIND as PROCESSES

KINDS = (PROCESSES, CONTAINERS)


def outside_process_table(target: str) -> bool:
    """Return whether a target is known and its replicas are not processes of this user, but for example containers."""
    return any(kind.target == target and not kind.own_processes for kind in KINDS)
