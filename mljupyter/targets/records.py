"""Records of compute targets in the directory of a workspace: one JSON file each, which only its owner can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

from mljupyter.files import write_whole
from mljupyter.workspace_folders import make_folder

Record = TypeVar("Record")


class RecordStore(Generic[Record]):
    """The records of one kind, each in the file ``NAME.json`` of a folder.

    A file is read by any release: an entry that the class does not know is left out. One that cannot be read, or is no
    record of its name, is ignored: a damaged file must not hide the other targets.

    Parameters:
        kind: the dataclass of the records: values of JSON types, one of them the ``name``.
        folder: the folder, below the directory of a workspace.
        accepts: checks the values of a record; by default all are accepted.

    """

    def __init__(
        self, kind: type[Record], folder: str, accepts: Callable[[Record], bool] = lambda record: True
    ) -> None:
        self._kind: Any = kind
        self._folder = folder
        self._accepts = accepts

    def all(self, directory: Path) -> list[Record]:
        """Return the records of a workspace, by name."""
        found = (self._read(path) for path in sorted((directory / self._folder).glob("*.json")))
        return [record for record in found if record is not None]

    def write(self, directory: Path, record: Record) -> None:
        """Write a record, in place of an earlier one of its name; raise `WorkspaceGoneError` without a workspace."""
        document = asdict(record)  # type: ignore[call-overload]  # a dataclass
        make_folder(directory, self._folder)
        write_whole(self._file(directory, document["name"]), json.dumps(document, indent=2) + "\n", durable=True)

    def remove(self, directory: Path, name: str) -> None:
        """Remove the record of a name, if there is one."""
        self._file(directory, name).unlink(missing_ok=True)

    def _file(self, directory: Path, name: str) -> Path:
        return directory / self._folder / f"{name}.json"

    def _read(self, path: Path) -> Record | None:
        known = {one.name for one in fields(self._kind)}
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            record: Record = self._kind(**{key: value for key, value in document.items() if key in known})
            return record if document["name"] == path.stem and self._accepts(record) else None
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None
