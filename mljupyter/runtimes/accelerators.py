"""Accelerators of this machine: which there are, which replica uses which, and how much of them is in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mljupyter.engine.scaling.accelerators import Accelerator, Holding, choose

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that names the GPUs which a process may use."""


class Use(NamedTuple):
    """The use of an accelerator: percent of the time in which it worked, and the bytes of its memory in use."""

    percent: float
    memory_bytes: int


class Devices(Protocol):
    """Knows the accelerators of a machine."""

    def present(self) -> Sequence[Accelerator]:
        """Return the accelerators that this process may use."""
        ...

    def use(self, accelerator: str) -> Use | None:
        """Return the present use of an accelerator, by its id; None if it cannot be measured."""
        ...


class NoDevices:
    """A machine without accelerators."""

    def present(self) -> Sequence[Accelerator]:
        """Return none."""
        return ()

    def use(self, accelerator: str) -> Use | None:
        """Return None."""
        return None


class AcceleratorPool:
    """Gives replicas the accelerators of this machine, and measures them. The targets of a machine share one.

    Parameters:
        devices: the accelerators; by default none.

    """

    def __init__(self, devices: Devices | None = None) -> None:
        self._devices = devices if devices is not None else NoDevices()
        self._held: dict[str, Holding] = {}

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._devices.present())

    def take(self, replica_id: str, number: int, version: tuple[str, str], revision: str) -> tuple[str, ...]:
        """Reserve accelerators for a replica; return their ids. A machine without any gives none."""
        if not number or not self.number:
            return ()
        present = [one.id for one in self._devices.present()]
        chosen = choose(number, present, self._held.values(), version, revision)
        self.hold(replica_id, Holding(chosen, version, revision))
        return chosen

    def hold(self, replica_id: str, holding: Holding) -> None:
        """Remember the accelerators of a running replica."""
        if holding.accelerators:
            self._held[replica_id] = holding

    def release(self, replica_id: str) -> None:
        """Take back the accelerators of a replica that has ended."""
        self._held.pop(replica_id, None)

    def use(self, replica_id: str) -> Use | None:
        """Return the use of a replica's accelerators: mean percentage, and total memory; None if nothing is known.

        While two replicas share an accelerator, its whole use counts for both.
        """
        held = self._held.get(replica_id)
        if held is None:
            return None
        found = [use for use in map(self._devices.use, held.accelerators) if use is not None]
        if not found:
            return None
        return Use(sum(use.percent for use in found) / len(found), sum(use.memory_bytes for use in found))
