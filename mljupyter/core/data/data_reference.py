"""DataReference: a path of a datastore that a submitted script gets as a local path.

Azure: azureml.data.data_reference.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.tracking import data_files

if TYPE_CHECKING:
    from mljupyter.core import Datastore


class DataReference:
    """A path of a datastore; among the arguments of a script it becomes the path of a local copy.

    Parameters:
        datastore: the datastore.
        data_reference_name: the name of its folder beside the script; by default the datastore's.
        path_on_datastore: the path; by default all of the datastore.
        mode: ``mount`` or ``download``; both give a local path.
        path_on_compute, overwrite: without effect.

    Example:
        >>> reference = ws.get_default_datastore().path("weather").as_mount()               # doctest: +SKIP
        >>> ScriptRunConfig(".", "train.py", arguments=["--data", reference])               # doctest: +SKIP

    """

    def __init__(
        self,
        datastore: Datastore,
        data_reference_name: str | None = None,
        path_on_datastore: str | None = None,
        mode: str = "mount",
        path_on_compute: str | None = None,
        overwrite: bool = False,
    ) -> None:
        if mode not in ("mount", "download"):
            raise UserErrorException(
                f"mode is {mode!r}. Rule: mount or download. A script writes its results to outputs/, which are kept."
            )
        self.datastore = datastore
        self.data_reference_name = data_reference_name or datastore.name
        self.path_on_datastore = path_on_datastore or ""
        self.mode = mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite

    def path(self, path: str | None = None, data_reference_name: str | None = None) -> DataReference:
        """Return a reference to a path below this one."""
        below = "/".join(filter(None, (self.path_on_datastore.rstrip("/"), path)))
        return DataReference(self.datastore, data_reference_name or self.data_reference_name, below)

    def as_mount(self) -> DataReference:
        """Return the reference as a local path for reading."""
        return self._as("mount")

    def as_download(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """Return the reference as a local copy."""
        return self._as("download", path_on_compute)

    def as_upload(self, path_on_compute: str | None = None, overwrite: bool = False) -> DataReference:
        """Refuse: a script writes its results to ``outputs/``.

        Raises:
            UserErrorException: always.

        """
        return self._as("upload", path_on_compute)

    def local_path(self, folder: Path) -> str:
        """Return the path that a script gets: the place of the data, or a copy in a folder.

        Parameters:
            folder: the folder for copies.

        """
        source = {"datastore": self.datastore.name, "path": self.path_on_datastore}
        with as_user_error():
            store = self.datastore.workspace.context.tracking.datastores
            if (place := store.files(self.datastore.name).local(self.path_on_datastore)) is not None:
                return str(place)
            found = data_files.find([source], store)
            target = folder / self.data_reference_name
            copies = data_files.bring(found, target)
        is_file = len(found) == 1 and getattr(found[0], "name", "") == self.path_on_datastore.strip("/")
        return str(copies[0] if is_file else target)

    def _as(self, mode: str, path_on_compute: str | None = None) -> DataReference:
        return DataReference(
            self.datastore, self.data_reference_name, self.path_on_datastore, mode, path_on_compute or None
        )

    def __repr__(self) -> str:
        return f"DataReference(datastore={self.datastore.name}, path_on_datastore={self.path_on_datastore})"
