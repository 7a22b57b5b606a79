"""The mapped compute targets of a workspace: one JSON file each in its directory."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mljupyter.targets.records import RecordStore


@dataclass(frozen=True)
class Mapped:
    """One compute target of Azure that a target of the workspace stands in for.

    Parameters:
        name: its name as a compute target.
        kind: the kind in Azure: ``AKS`` or ``AmlCompute``.
        place: the name of the target that takes its place.
        settings: the arguments with which it was created or attached. They are shown, and have no effect.

    """

    name: str
    kind: str
    place: str
    settings: dict[str, Any] = field(default_factory=dict)


def _is_complete(record: Mapped) -> bool:
    return isinstance(record.kind, str) and isinstance(record.place, str)


_RECORDS = RecordStore(Mapped, "mapped", _is_complete)


def mapped_targets(directory: Path) -> list[Mapped]:
    """Return the mapped targets of a workspace by name. A file that is no record of one is ignored."""
    return _RECORDS.all(directory)


def remember(directory: Path, record: Mapped) -> None:
    """Write the record of a mapped target."""
    _RECORDS.write(directory, record)


def forget(directory: Path, name: str) -> None:
    """Remove the record of a mapped target."""
    _RECORDS.remove(directory, name)
