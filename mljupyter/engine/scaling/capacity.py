"""Admission by capacity: the resource requests of replicas against the cores and memory of their machine.

Every version gets its first replica on any machine that is large enough for it, since most versions are idle most of
the time and a notebook's machine should serve all of its models. Every further replica needs its request in the
capacity that the others leave. During an update, the overlap of old and new replicas does not count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mljupyter.spec import Resources

_CLOSE = 1e-9


@dataclass(frozen=True)
class Capacity:
    """The capacity of a machine: cores, memory in GB, and GPUs. Compute targets with the same `machine` share it.

    On a machine without GPUs, requests for them do not count: a replica runs without.
    """

    cpu: float
    memory_in_gb: float
    machine: str = ""
    gpus: int = 0


class Claim(NamedTuple):
    """The claim of a version: its desired, minimum and present number of replicas, and the size of each."""

    version: tuple[str, str]
    wanted: int
    least: int
    present: int
    resources: Resources


class Admission(NamedTuple):
    """The number of replicas that a version may have, and the reason as text when it is below the desired number."""

    replicas: int
    shortage: str | None = None


def admit(claims: Sequence[Claim], capacity: Capacity) -> dict[tuple[str, str], Admission]:
    """Return the number of replicas that each version may have.

    The minimum of each version comes before replicas for its load, and running replicas come before new ones, so that
    no replica is started only to be stopped again.

    Parameters:
        claims: all versions on the machine, each once.
        capacity: the capacity of the machine.

    Example:
        >>> claim = Claim(("iris", "iris"), wanted=5, least=1, present=1, resources=Resources(cpu=1, memory_in_gb=1))
        >>> admit([claim], Capacity(cpu=2, memory_in_gb=8))[("iris", "iris")].replicas
        2

    """
    order = sorted(claims, key=lambda claim: claim.version)
    given = {claim.version: int(_fits_alone(claim, capacity)) if claim.wanted else 0 for claim in order}
    left = _Left(
        capacity.cpu - sum(given[claim.version] * claim.resources.cpu for claim in order),
        capacity.memory_in_gb - sum(given[claim.version] * claim.resources.memory_in_gb for claim in order),
        capacity.gpus - sum(given[claim.version] * claim.resources.gpu for claim in order) if capacity.gpus else None,
    )
    for most in (_least_present, _least, _present, _wanted):
        for claim in order:
            if given[claim.version]:
                more = min(most(claim), claim.wanted) - given[claim.version]
                given[claim.version] += left.take(more, claim.resources)
    return {claim.version: _admission(claim, given[claim.version], capacity) for claim in order}


def lack_of_room(replicas: int, each: Resources, capacity: Capacity) -> str | None:
    """Return a sentence if an otherwise empty machine has no room for a number of replicas; else None.

    Parameters:
        replicas: their number.
        each: what each of them requests.
        capacity: the capacity of the machine.

    Example:
        >>> lack_of_room(1000, Resources(cpu=0.1, memory_in_gb=0.5), Capacity(cpu=2, memory_in_gb=8))
        '1000 replicas request 100 cores and 500 GB; the machine has 2 cores and 8.0 GB: at most 16 can run'

    """
    room = _Left(capacity.cpu, capacity.memory_in_gb, capacity.gpus or None).take(replicas, each)
    if room >= replicas:
        return None
    wanted = _size(replicas * each.cpu, f"{replicas * each.memory_in_gb:g}", _counted(replicas * each.gpu, capacity))
    machine = _machine(each, capacity)
    return f"{replicas} replicas request {wanted}; the machine has {machine}: at most {room} can run"


def _least_present(claim: Claim) -> int:
    return min(claim.least, claim.present)


def _least(claim: Claim) -> int:
    return claim.least


def _present(claim: Claim) -> int:
    return claim.present


def _wanted(claim: Claim) -> int:
    return claim.wanted


@dataclass
class _Left:
    cpu: float
    memory: float
    gpus: int | None  # None: not counted

    def take(self, most: int, each: Resources) -> int:
        """Reserve the resources of up to `most` replicas. Return the number of replicas that fit."""
        room = min(self.cpu / each.cpu, self.memory / each.memory_in_gb)
        if self.gpus is not None and each.gpu:
            room = min(room, self.gpus // each.gpu)
        count = max(min(most, math.floor(room + _CLOSE)), 0)
        self.cpu -= count * each.cpu
        self.memory -= count * each.memory_in_gb
        self.gpus = None if self.gpus is None else self.gpus - count * each.gpu
        return count


def _fits_alone(claim: Claim, capacity: Capacity) -> bool:
    each = claim.resources
    gpus_fit = not capacity.gpus or each.gpu <= capacity.gpus
    return gpus_fit and each.cpu <= capacity.cpu + _CLOSE and each.memory_in_gb <= capacity.memory_in_gb + _CLOSE


def _admission(claim: Claim, given: int, capacity: Capacity) -> Admission:
    if given >= claim.wanted:
        return Admission(given)
    each = claim.resources
    size = _size(each.cpu, f"{each.memory_in_gb:g}", _counted(each.gpu, capacity))
    machine = f"the machine has {_machine(each, capacity)}"
    arguments = "cpu_cores, memory_gb, gpu_cores" if _counted(each.gpu, capacity) else "cpu_cores, memory_gb"
    if not given:
        return Admission(0, f"a replica asks for {size}; {machine}. Ask for less: {arguments}")
    return Admission(
        given,
        f"{claim.wanted} replicas of {size} each are desired, and {given} fit: {machine}, shared by all "
        f"versions. Ask for less ({arguments}), or delete versions that are not needed",
    )


def _counted(gpus: int, capacity: Capacity) -> int:
    return gpus if capacity.gpus else 0


def _machine(each: Resources, capacity: Capacity) -> str:
    """Return the size of a machine, with its GPUs if a replica asks for some."""
    return _size(capacity.cpu, f"{capacity.memory_in_gb:.1f}", capacity.gpus if each.gpu else 0)


def _size(cores: float, memory: str, gpus: int) -> str:
    if not gpus:
        return f"{cores:g} cores and {memory} GB"
    return f"{cores:g} cores, {memory} GB and {gpus} GPU{'s' if gpus > 1 else ''}"
