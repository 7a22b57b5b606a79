"""FileDataset: files of any form.

Azure: azureml.data.file_dataset.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.core.data.abstract_dataset import AbstractDataset
from mljupyter.core.data.dataset_consumption_config import DatasetConsumptionConfig
from mljupyter.exceptions import as_user_error
from mljupyter.files import expanded
from mljupyter.tracking import data_files, steps

if TYPE_CHECKING:
    from mljupyter.tracking.data_files import DataFile


class FileDataset(AbstractDataset):
    """Files of any form.

    Example:
        >>> dataset = Dataset.File.from_files((datastore, "images/**/*.png"))     # doctest: +SKIP
        >>> dataset.download("images")                                            # doctest: +SKIP

    """

    kind = "file"

    def download(
        self,
        target_path: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        ignore_not_found: bool = False,
    ) -> list[str]:
        """Copy the files into a local folder, and return the paths of the copies.

        Parameters:
            target_path: the folder; by default a new temporary one.
            overwrite: replace local files.
            ignore_not_found: without effect: the files are looked for when this is called.

        Raises:
            UserErrorException: a local file exists, or a file cannot be read.

        """
        folder = expanded(target_path) if target_path is not None else Path(tempfile.mkdtemp())
        with as_user_error():
            copies = data_files.bring(self._files(), folder.absolute(), overwrite=overwrite)
        return [str(path) for path in copies]

    def to_path(self) -> list[str]:
        """Return the paths of the files in the dataset, each with ``/`` first."""
        with as_user_error():
            return [f"/{file.relative}" for file in self._files()]

    @contextmanager
    def mount(self, mount_point: str | None = None) -> Iterator[FileDatasetMount]:
        """Give a local folder with the files, as ``with dataset.mount() as mount``; see `mount.mount_point`.

        Parameters:
            mount_point: a folder for copies; by default a temporary one, which is removed at the end. Files on this
                machine are used in their place.

        """
        with tempfile.TemporaryDirectory(prefix="mljupyter-mount-") as folder:
            yield FileDatasetMount(self.local_path(Path(mount_point or folder)))

    def as_mount(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return the dataset as a local path for a submitted script."""
        return DatasetConsumptionConfig(self._input_name(), self, "mount", path_on_compute)

    def as_download(self, path_on_compute: str | None = None) -> DatasetConsumptionConfig:
        """Return the dataset as a local copy for a submitted script."""
        return DatasetConsumptionConfig(self._input_name(), self, "download", path_on_compute)

    def _files(self) -> Sequence[DataFile]:
        found = super()._files()
        return [found[place] for place in steps.kept(len(found), self._definition["steps"])]

    def _input_name(self) -> str:
        return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in f"input_{self.name or 1}")


class FileDatasetMount:
    """A local folder with the files of a dataset."""

    def __init__(self, folder: str) -> None:
        self.mount_point = folder

    def start(self) -> None:
        """Do nothing: the files are there."""

    def stop(self) -> None:
        """Do nothing: the folder is removed at the end of the block."""
