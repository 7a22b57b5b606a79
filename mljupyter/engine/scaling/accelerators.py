"""Accelerators of a machine, such as its GPUs, and the choice of those that a replica uses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LEAVES = 0.5  # the burden of a replica that is being replaced


@dataclass(frozen=True)
class Accelerator:
    """One accelerator: its unique id, its name, and its memory in bytes."""

    id: str
    name: str
    memory_bytes: int


def visible(present: Sequence[Accelerator], limit: str | None) -> list[Accelerator]:
    """Return the accelerators that ``CUDA_VISIBLE_DEVICES`` leaves to a process.

    Parameters:
        present: those of the machine, in the order of their indexes.
        limit: the value of the variable: indexes, or ids or their beginnings, separated by commas. None if it is not
            set. As in CUDA, the first unknown entry ends the list.

    Example:
        >>> gpus = [Accelerator("GPU-a", "T4", 0), Accelerator("GPU-b", "T4", 0)]
        >>> [one.id for one in visible(gpus, "1,0")]
        ['GPU-b', 'GPU-a']
        >>> visible(gpus, "")
        []

    """
    if limit is None:
        return list(present)
    found: list[Accelerator] = []
    for entry in (part.strip() for part in limit.split(",")):
        if entry.isdecimal():
            matching = [present[int(entry)]] if int(entry) < len(present) else []
        else:
            matching = [one for one in present if entry and one.id.startswith(entry)]
        if len(matching) != 1 or matching[0] in found:
            break
        found += matching
    return found


@dataclass(frozen=True)
class Holding:
    """The accelerators that a replica uses, by their ids, and what it is a replica of."""

    accelerators: tuple[str, ...]
    version: tuple[str, str]
    revision: str


def choose(
    number: int, present: Sequence[str], holdings: Iterable[Holding], version: tuple[str, str], revision: str
) -> tuple[str, ...]:
    """Return the accelerators for a new replica: those that the fewest replicas use, in the machine's order.

    Two replicas share one only when all are taken: when more versions than accelerators have their first replica, and
    while an update replaces a replica. Then it shares with one of an earlier revision, which will end.

    Parameters:
        number: how many it asks for.
        present: the ids of those of the machine.
        holdings: the replicas that use some.
        version: endpoint and version of the new replica.
        revision: its revision.

    Example:
        >>> taken = [Holding(("GPU-a",), ("iris", "blue"), "1")]
        >>> choose(1, ["GPU-a", "GPU-b"], taken, ("iris", "green"), "1")
        ('GPU-b',)

    """
    burden = dict.fromkeys(present, 0.0)
    for holding in holdings:
        leaves = holding.version == version and holding.revision != revision
        for one in holding.accelerators:
            if one in burden:
                burden[one] += _LEAVES if leaves else 1
    chosen = set(sorted(present, key=burden.__getitem__)[:number])
    return tuple(one for one in present if one in chosen)
