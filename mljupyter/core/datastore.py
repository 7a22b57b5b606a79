"""Datastores: named places for files, such as that of the workspace, a local folder or an object store.

Azure: azureml.core.datastore and azureml.data.azure_storage_datastore.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from mljupyter.core.data.data_reference import DataReference
from mljupyter.core.display import HtmlRepr, Rows
from mljupyter.exceptions import UserErrorException, as_user_error
from mljupyter.files import expanded
from mljupyter.tracking.paths import checked_path, folder_path

if TYPE_CHECKING:
    from mljupyter.core import Workspace
    from mljupyter.tracking.datastores import DatastoreRecord
    from mljupyter.tracking.file_stores import FileStore

_BY_URL = (
    "Register the place by URL: Datastore.register(ws, {name!r}, '{example}'); the credentials come from the "
    "environment."
)


class Datastore(HtmlRepr):
    """A named place for files.

    Each workspace has the datastore ``workspaceblobstore``, whose files are in its artifact store.

    Parameters:
        workspace: the workspace.
        name: the name; by default that of the default datastore.

    Raises:
        UserErrorException: `DatastoreNotFound`: there is no datastore of this name.

    Example:
        >>> datastore = Datastore.get_default(ws)                                                  # doctest: +SKIP
        >>> datastore.upload_files(["iris.csv"], target_path="data", overwrite=True)               # doctest: +SKIP
        >>> Dataset.Tabular.from_delimited_files(datastore.path("data/iris.csv"))                   # doctest: +SKIP

    """

    def __init__(self, workspace: Workspace, name: str | None = None) -> None:
        self.workspace: Workspace = workspace
        with as_user_error():
            store = workspace.context.tracking.datastores
            self.record: DatastoreRecord = store.default() if name is None else store.get(name)

    @staticmethod
    def get(workspace: Workspace, datastore_name: str) -> Datastore:
        """Return a datastore by its name.

        Raises:
            UserErrorException: `DatastoreNotFound`: there is none of this name.

        """
        return Datastore(workspace, datastore_name)

    @staticmethod
    def get_default(workspace: Workspace) -> Datastore:
        """Return the default datastore of a workspace."""
        return Datastore(workspace)

    @staticmethod
    def register(
        workspace: Workspace, datastore_name: str, location: str | os.PathLike[str], overwrite: bool = False
    ) -> Datastore:
        """Register a local folder, or an object store by its URL, and return the datastore.

        Parameters:
            workspace: the workspace.
            datastore_name: 3 to 255 letters, digits and '_'.
            location: a folder, or a URL that fsspec knows, such as ``s3://bucket/data``. Its credentials come from the
                environment, as its client reads them.
            overwrite: replace a datastore of this name.

        Raises:
            UserErrorException: the name breaks the rule or is taken, or the location cannot be used.

        Example:
            >>> Datastore.register(ws, "team_data", "/srv/team/data")     # doctest: +SKIP

        """
        with as_user_error():
            store = workspace.context.tracking.datastores
            record = store.register(datastore_name, os.fspath(location), overwrite=overwrite)
        return Datastore(workspace, record.name)

    @staticmethod
    def register_azure_blob_container(
        workspace: Workspace, datastore_name: str, container_name: str, account_name: str, *args: Any, **kwargs: Any
    ) -> NoReturn:
        """Refuse: a container is registered by its URL.

        Raises:
            UserErrorException: always; the text has the call that does it.

        """
        _refuse("register_azure_blob_container", datastore_name, f"abfs://{container_name}@{account_name}.dfs")

    @staticmethod
    def register_azure_file_share(
        workspace: Workspace, datastore_name: str, file_share_name: str, account_name: str, *args: Any, **kwargs: Any
    ) -> NoReturn:
        """Refuse: mount the share on this machine, and register the folder.

        Raises:
            UserErrorException: always; the text has the call that does it.

        """
        _refuse("register_azure_file_share", datastore_name, f"/mnt/{file_share_name}")

    @staticmethod
    def register_azure_data_lake_gen2(
        workspace: Workspace, datastore_name: str, filesystem: str, account_name: str, *args: Any, **kwargs: Any
    ) -> NoReturn:
        """Refuse: a file system is registered by its URL.

        Raises:
            UserErrorException: always; the text has the call that does it.

        """
        _refuse("register_azure_data_lake_gen2", datastore_name, f"abfs://{filesystem}@{account_name}.dfs")

    def unregister(self) -> None:
        """Forget the datastore; its files stay.

        Raises:
            UserErrorException: it is the workspace's own.

        """
        with as_user_error():
            self.workspace.context.tracking.datastores.unregister(self.name)

    def set_as_default(self) -> None:
        """Make it the default datastore of the workspace."""
        self.workspace.set_default_datastore(self.name)
        self.record = self.workspace.context.tracking.datastores.get(self.name)

    @property
    def name(self) -> str:
        """The name."""
        return self.record.name

    @property
    def datastore_type(self) -> str:
        """The kind: Artifacts, Folder or Url."""
        return self.record.kind

    @property
    def location(self) -> str | None:
        """The folder or URL; None for a datastore of the workspace itself."""
        return self.record.location

    @property
    def is_default(self) -> bool:
        """Whether it was the default datastore when it was read."""
        return self.record.is_default

    @property
    def created_time(self) -> datetime:
        """The time of its registration, in UTC."""
        return self.record.created_time

    @property
    def container_name(self) -> str:
        """The name of the place of its files: the datastore's own name."""
        return self.name

    @property
    def account_name(self) -> str:
        """The name of the workspace."""
        return self.workspace.name

    def upload(
        self,
        src_dir: str | os.PathLike[str],
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Store all files below a local folder, and return a reference to them.

        Parameters:
            src_dir: the folder.
            target_path: the folder in the datastore; by default its top.
            overwrite: replace files; without it, files that exist are left as they are.
            show_progress: print a line for each file.

        Raises:
            UserErrorException: the folder does not exist, or the place cannot be written.

        """
        folder = expanded(src_dir)
        if not folder.is_dir():
            raise UserErrorException(f"{str(src_dir)!r} is not a folder: check the path.")
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return self._store(folder, files, target_path, overwrite, show_progress)

    def upload_files(
        self,
        files: Sequence[str | os.PathLike[str]],
        relative_root: str | os.PathLike[str] | None = None,
        target_path: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> DataReference:
        """Store local files, and return a reference to their folder.

        Parameters:
            files: the files.
            relative_root: keep the folders of the files below this one; by default only their names are kept.
            target_path: the folder in the datastore; by default its top.
            overwrite: replace files; without it, files that exist are left as they are.
            show_progress: print a line for each file.

        Raises:
            UserErrorException: a file does not exist, or the place cannot be written.

        Example:
            >>> datastore.upload_files(["x.csv"], target_path="data")     # doctest: +SKIP

        """
        if isinstance(files, (str, os.PathLike)):
            raise UserErrorException("files must be a list of paths, such as ['iris.csv'].")
        paths = [expanded(file) for file in files]
        if missing := next((path for path in paths if not path.is_file()), None):
            raise UserErrorException(f"{str(missing)!r} is not a file: check the path.")
        root = None if relative_root is None else expanded(relative_root)
        return self._store(root, paths, target_path, overwrite, show_progress)

    def download(
        self,
        target_path: str | os.PathLike[str],
        prefix: str | None = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> int:
        """Copy files into a local folder under their paths, and return their number.

        Parameters:
            target_path: the folder; it is created if it does not exist.
            prefix: only this file, or the files below this folder.
            overwrite: replace local files; without it, local files are left as they are.
            show_progress: print a line for each file.

        """
        with as_user_error():
            files = self._files()
            found = files.list(prefix or "")
            copied = 0
            for path in found:
                target = expanded(target_path) / checked_path(path)
                if target.exists() and not overwrite:
                    _say(show_progress, f"{target} exists: not replaced")
                    continue
                files.fetch(path, target)
                copied += 1
                _say(show_progress, f"Downloaded {path}")
        return copied

    def path(self, path: str | None = None, data_path_compute_binding: Any = None) -> DataReference:
        """Return a reference to a path of the datastore.

        Parameters:
            path: a file, a folder or a pattern such as ``data/*.csv``; by default all of the datastore.
            data_path_compute_binding: without effect.

        """
        return DataReference(self, path_on_datastore=path)

    def as_mount(self) -> DataReference:
        """Return a reference to all of the datastore as a local path."""
        return self.path().as_mount()

    def as_download(self, path_on_compute: str | None = None) -> DataReference:
        """Return a reference to a local copy of all of the datastore."""
        return self.path().as_download(path_on_compute)

    def as_upload(self, path_on_compute: str | None = None) -> DataReference:
        """Refuse: a script writes its results to ``outputs/``.

        Raises:
            UserErrorException: always.

        """
        return self.path().as_upload(path_on_compute)

    def _files(self) -> FileStore:
        return self.workspace.context.tracking.datastores.files(self.name)

    def _store(
        self, root: Path | None, files: Sequence[Path], target_path: str | None, overwrite: bool, show_progress: bool
    ) -> DataReference:
        with as_user_error():
            below = folder_path(target_path)
            wanted = {}
            for file in files:
                if root is not None and not file.absolute().is_relative_to(root.absolute()):
                    raise UserErrorException(f"{str(file)!r} is not below relative_root {str(root)!r}.")
                relative = file.absolute().relative_to(root.absolute()).as_posix() if root is not None else file.name
                wanted[f"{below}/{relative}" if below else relative] = file
            store = self._files()
            present = set() if overwrite else set(store.list(below)) & wanted.keys()
            store.put({path: file for path, file in wanted.items() if path not in present}, overwrite=overwrite)
        for path, file in wanted.items():
            done = "exists: not replaced" if path in present else f"uploaded from {file}"
            _say(show_progress, f"{path} {done}")
        return self.path(below or None)

    def _summary(self) -> Rows:
        return [("Name", self.name), ("Kind", self.datastore_type)]

    def __repr__(self) -> str:
        return f"Datastore(name={self.name}, datastore_type={self.datastore_type})"


#: The kinds of datastores that notebooks ask for by `isinstance`: all have the methods of `Datastore`.
AzureBlobDatastore = AzureFileDatastore = Datastore


def _say(show: bool, text: str) -> None:
    if show:
        print(text)


def _refuse(call: str, name: str, example: str) -> NoReturn:
    raise UserErrorException(
        f"Datastore.{call} is not there: keys of accounts are not kept in a workspace.\n"
        + _BY_URL.format(name=name, example=example)
    )
