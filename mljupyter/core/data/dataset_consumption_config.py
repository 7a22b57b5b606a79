"""DatasetConsumptionConfig: a dataset as a named input of a submitted script.

Azure: azureml.data.dataset_consumption_config.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

from mljupyter.exceptions import UserErrorException

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MODES = ("direct", "mount", "download")


class InputData(Protocol):
    """The parts of a dataset that an input of a script needs."""

    @property
    def id(self) -> str | None:
        """The id of the registered version."""
        ...

    def document(self) -> dict[str, Any]:
        """Return the definition as JSON types."""
        ...

    def local_path(self, folder: Path, *, copy: bool = False) -> str:
        """Return a local path of the data."""
        ...


class DatasetConsumptionConfig:
    """A dataset as a named input of a submitted script.

    In the script it is ``Run.get_context().input_datasets[name]``. With `as_mount` or `as_download` that is a local
    path, and so is the argument in its place.

    Parameters:
        name: letters, digits and '_'.
        dataset: the dataset.
        mode: ``direct`` for the dataset itself; ``mount`` or ``download`` for a local path.
        path_on_compute: without effect: the path is chosen here.

    Example:
        >>> arguments = ["--data", dataset.as_named_input("train").as_mount()]     # doctest: +SKIP

    """

    def __init__(self, name: str, dataset: InputData, mode: str = "direct", path_on_compute: str | None = None) -> None:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserErrorException(f"Invalid input name {name!r}. Use letters, digits and '_', no digit first.")
        if mode not in _MODES:
            raise UserErrorException(f"mode is {mode!r}. Rule: {', '.join(_MODES)}.")
        self.name = name
        self.dataset = dataset
        self.mode = mode
        self.path_on_compute = path_on_compute

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return the input as a local path, for reading."""
        return self._as("mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return the input as a local path of a copy."""
        return self._as("download", path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        """Refuse: there is no Spark here.

        Raises:
            UserErrorException: always.

        """
        raise UserErrorException("as_hdfs() needs Spark, which scripts do not run on here: use as_mount().")

    def submitted(self, folder: Path) -> tuple[str, dict[str, Any]]:
        """Return the argument of the script, and the document of the input.

        Parameters:
            folder: the folder for copies of the data.

        Raises:
            UserErrorException: the data cannot be read.

        """
        document = self.dataset.document()
        if self.mode == "direct":
            return self.dataset.id or self.name, {"dataset": document}
        path = self.dataset.local_path(folder / self.name, copy=self.mode == "download")
        return path, {"dataset": document, "path": path}

    def _as(self, mode: str, path_on_compute: str | None) -> DatasetConsumptionConfig:
        return DatasetConsumptionConfig(self.name, self.dataset, mode, path_on_compute)

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig(name={self.name}, mode={self.mode})"
