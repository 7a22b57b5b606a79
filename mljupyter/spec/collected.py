"""CollectedFile: a file of data that scoring scripts have collected, and what its path tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from mljupyter.spec.document import Document, SpecError

FOLDER = "modeldata"
"""The first directory of every path, as in Azure ML v1."""

SUFFIX = ".csv"
LONGEST_PATH = 2048
_DATED = (3, 4)  # year, month, day; with AML_MODEL_DC_BOUNDARY=hour also the hour
_OWNER = 7  # subscription, group, workspace, service, model, version, designation


class CollectedFile(Document):
    """A CSV file with rows of one model, designation and day.

    `path` is ``modeldata/SUBSCRIPTION/GROUP/WORKSPACE/SERVICE/MODEL/VERSION/DESIGNATION/YYYY/MM/DD/NAME.csv``, and
    `size` is in bytes.
    """

    path: Annotated[str, Field(min_length=1, max_length=LONGEST_PATH)]
    size: Annotated[int, Field(ge=0)]
    modified_time: datetime

    @property
    def model_name(self) -> str:
        """The name of the model; empty if the path is not the documented one."""
        return self._owner[4]

    @property
    def model_version(self) -> str:
        """The version of the model; empty if the path is not the documented one."""
        return self._owner[5]

    @property
    def designation(self) -> str:
        """The designation, such as ``inputs``; empty if the path is not the documented one."""
        return self._owner[6]

    @property
    def day(self) -> date | None:
        """The day of the rows (UTC); None if the path is not the documented one."""
        numbers = self.path.split("/")[1 + _OWNER : -1]
        try:
            year, month, day = map(int, numbers[:3])
            return date(year, month, day) if len(numbers) in _DATED else None
        except ValueError:
            return None

    @property
    def _owner(self) -> Sequence[str]:
        parts = self.path.split("/")[1:-1]
        return parts[:_OWNER] if self.day is not None else [""] * _OWNER


def parts_of(path: str) -> list[str]:
    """Return the names in the path of a collected file.

    Raises:
        SpecError: it leads out of the collected data, or is no file of it.

    Example:
        >>> parts_of("modeldata/a/data.csv")
        ['modeldata', 'a', 'data.csv']

    """
    parts = path.split("/")
    wrong = any(part in ("", ".", "..") or not part.isprintable() for part in parts)
    if wrong or len(path) > LONGEST_PATH or parts[0] != FOLDER or not path.endswith(SUFFIX):
        raise SpecError(
            f"{path!r:.200} is no file of collected data. Rule: a path of the list of files, such as "
            f"'{FOLDER}/.../inputs/2030/01/31/data{SUFFIX}'."
        )
    return parts


def chosen(
    files: Iterable[CollectedFile],
    *,
    model_name: str | None = None,
    designation: str | None = None,
    since: date | None = None,
) -> list[CollectedFile]:
    """Return the files of a model, of a designation, and since a day; None means all.

    Parameters:
        files: the files to choose from.
        model_name, designation: as the script gave them to `ModelDataCollector`.
        since: the first day (UTC).

    """
    return [
        file
        for file in files
        if model_name in (None, file.model_name)
        and designation in (None, file.designation)
        and (since is None or (file.day is not None and file.day >= since))
    ]
