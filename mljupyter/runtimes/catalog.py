"""The ways of running replicas that the controller of this machine knows. A further one is added to `KINDS`."""

from __future__ import annotations

from mljupyter.runtimes.docker.runtime import KIND as CONTAINERS
from mljupyter.runtimes.process.runtime import KIND as PROCESSES

KINDS = (PROCESSES, CONTAINERS)


def outside_process_table(target: str) -> bool:
    """Return whether replicas of a target, as far as it is known, are something else than processes of this user."""
    return any(kind.target == target and not kind.own_processes for kind in KINDS)
