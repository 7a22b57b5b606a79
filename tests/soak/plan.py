"""When which fault is injected into a piece of the soak: a decision by the length of the piece and a seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """A kind of fault, or of change, that the soak injects."""

    UPDATE = "update"
    KEY = "key regenerated"
    KILL = "replica killed"
    ROUTER = "router replaced"
    DISK_FILLED = "disk nearly full"
    DISK_FREED = "disk with room again"


UPDATE_SECONDS, KEY_SECONDS, KILL_SECONDS = 180.0, 100.0, 120.0
"""Seconds between two updates and two changes of keys, and the mean time between two kills."""
ROUTER_AT = (1 / 8, 7 / 8)
"""Shares of the piece after which the router is replaced: the one between them lives for most of the piece."""
DISK_AT = (1 / 4, 3 / 4)
"""Shares of the piece after which the disk is filled."""
_LONGEST_FULL_SECONDS = 120.0
_UNDISTURBED_SECONDS = 15.0
"""At the end, so that replicas which start are ready before the load ends."""


@dataclass(frozen=True)
class Planned:
    """A fault that will be injected: seconds from the start of the load, and its kind."""

    at: float
    kind: Kind


def plan(seconds: float, seed: int) -> list[Planned]:
    """Return what is injected into a piece of so many seconds, in order.

    Example:
        >>> [one.kind.value for one in plan(150, seed=1) if one.kind in (Kind.ROUTER, Kind.UPDATE)]
        ['router replaced', 'update', 'router replaced']

    """
    full = min(_LONGEST_FULL_SECONDS, seconds / 10)
    found = [
        *(Planned(at, Kind.UPDATE) for at in _every(UPDATE_SECONDS, seconds)),
        *(Planned(at, Kind.KEY) for at in _every(KEY_SECONDS, seconds)),
        *(Planned(at, Kind.KILL) for at in _at_random(KILL_SECONDS, seconds, random.Random(seed))),
        *(Planned(share * seconds, Kind.ROUTER) for share in ROUTER_AT),
        *(Planned(share * seconds, Kind.DISK_FILLED) for share in DISK_AT),
        *(Planned(share * seconds + full, Kind.DISK_FREED) for share in DISK_AT),
    ]
    return sorted((one for one in found if one.at <= seconds - _UNDISTURBED_SECONDS), key=lambda one: one.at)


def _every(period: float, seconds: float) -> Iterator[float]:
    """Give the times at a distance of `period`; the first after half of that, or of the piece if it is shorter."""
    first = min(period, seconds) / 2
    return itertools.takewhile(lambda at: at < seconds, itertools.count(first, period))


def _at_random(mean: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """Give times at random distances; the first is within a third of the piece, so that there is one."""
    at = min(chance.expovariate(1 / mean), seconds / 3)
    while at < seconds:
        yield at
        at += chance.expovariate(1 / mean)
