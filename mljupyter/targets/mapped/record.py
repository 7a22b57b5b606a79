"""The mapped compute targets of a workspace: one JSON file each in its directory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from mljupyter.files import make_private_directory, write_whole

_FOLDER = "mapped"


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


def mapped_targets(directory: Path) -> list[Mapped]:
    """Return the mapped targets of a workspace by name. A file that is no record of one is ignored."""
    found = []
    for path in sorted((directory / _FOLDER).glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            known = {one.name for one in fields(Mapped)}
            record = Mapped(**{key: value for key, value in document.items() if key in known})
        except (OSError, ValueError, TypeError, AttributeError):
            continue  # a damaged file must not hide the other targets
        texts = (record.name, record.kind, record.place)
        if record.name == path.stem and all(isinstance(text, str) for text in texts):
            found.append(record)
    return found


def remember(directory: Path, record: Mapped) -> None:
    """Write the record of a mapped target."""
    make_private_directory(directory / _FOLDER)
    write_whole(_file(directory, record.name), json.dumps(asdict(record), indent=2) + "\n", durable=True)


def forget(directory: Path, name: str) -> None:
    """Remove the record of a mapped target."""
    _file(directory, name).unlink(missing_ok=True)


def _file(directory: Path, name: str) -> Path:
    return directory / _FOLDER / f"{name}.json"
