"""The places of a datastore's files: the artifact store of the workspace, a local folder, or a file system by URL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import Engine, delete, insert, select

from mljupyter.files import draft_of, expanded
from mljupyter.registry.artifacts.protocols import open_file_system
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.catalog.transactions import reading, writing
from mljupyter.tracking.errors import DataError, TrackingError
from mljupyter.tracking.paths import checked_path, matching
from mljupyter.tracking.runs import StoredFile
from mljupyter.tracking.tables import DATASTORE_FILES

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


class FileStore(Protocol):
    """The files of one datastore, by their paths with ``/``."""

    def list(self, pattern: str = "") -> Sequence[str]:
        """Return the paths that a pattern, a file or a folder names; all files for the empty text."""
        ...

    def put(self, files: Mapping[str, Path], *, overwrite: bool = False) -> None:
        """Store local files under paths.

        Raises:
            TrackingError: a path exists already, and `overwrite` is not set.

        """
        ...

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file to a local path; missing folders are created, and a file there is replaced."""
        ...

    def local(self, path: str) -> Path | None:
        """Return the file or folder of a path on this machine; None if its content is elsewhere."""
        ...


class ArtifactFiles:
    """Files whose content is in the artifact store, and whose paths are in the database.

    Parameters:
        engine: the database.
        artifacts: the artifact store.
        datastore: the name of the datastore.

    """

    def __init__(self, engine: Engine, artifacts: ArtifactStore, datastore: str) -> None:
        self._engine = engine
        self._artifacts = artifacts
        self._datastore = datastore

    def list(self, pattern: str = "") -> Sequence[str]:
        """Return the paths that a pattern, a file or a folder names."""
        return matching(self._files(), pattern)

    def put(self, files: Mapping[str, Path], *, overwrite: bool = False) -> None:
        """Store local files under paths; all of them, or none after an error."""
        checked = {checked_path(path): file for path, file in files.items()}
        with self._artifacts.hold():
            if not overwrite:
                _refuse_existing(checked, set(self._files()), self._datastore)
            now = datetime.now(UTC)
            stored = {path: self._artifacts.put(file) for path, file in checked.items()}
            with writing(self._engine) as connection:
                mine = DATASTORE_FILES.c.datastore == self._datastore
                for path, artifact in stored.items():
                    connection.execute(delete(DATASTORE_FILES).where(mine & (DATASTORE_FILES.c.path == path)))
                    row = {"path": path, "digest": artifact.digest, "size": artifact.size, "time": now}
                    connection.execute(insert(DATASTORE_FILES).values(datastore=self._datastore, **row))

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file to a local path."""
        file = self._files().get(checked_path(path))
        if file is None:
            raise DataError(f"The datastore {self._datastore!r} has no file {path!r}.")
        target.unlink(missing_ok=True)
        self._artifacts.fetch(file.digest, target, size=file.size, writable=True)

    def local(self, path: str) -> Path | None:
        """Return None: the artifact store has no paths that a script could use."""
        return None

    def _files(self) -> dict[str, StoredFile]:
        with reading(self._engine) as connection:
            query = select(DATASTORE_FILES).where(DATASTORE_FILES.c.datastore == self._datastore)
            rows = connection.execute(query).all()
        return {row.path: StoredFile(checked_path(row.path), row.digest, row.size, row.time) for row in rows}


class UrlFiles:
    """Files below a local folder or a URL of fsspec.

    Parameters:
        location: the folder or URL. Its credentials come from the environment.
        datastore: the name of the datastore.

    Raises:
        DataError: the protocol is not known, or its package is not installed.

    """

    def __init__(self, location: str, datastore: str) -> None:
        self._datastore = datastore
        self._location = location
        self._file_system, self._root = _file_system(location)
        self._is_local = "://" not in location or location.startswith("file://")

    def list(self, pattern: str = "") -> Sequence[str]:
        """Return the paths that a pattern, a file or a folder names."""
        with self._translated("Listing"):
            self._file_system.invalidate_cache()
            if not self._file_system.exists(self._root):
                return []
            found = [str(path)[len(self._root) :].lstrip("/") for path in self._file_system.find(self._root)]
        return matching(found, pattern)

    def put(self, files: Mapping[str, Path], *, overwrite: bool = False) -> None:
        """Store local files under paths."""
        checked = {checked_path(path): file for path, file in files.items()}
        if not overwrite:
            with self._translated("Looking at"):
                self._file_system.invalidate_cache()
                present = {path for path in checked if self._file_system.exists(self._full(path))}
            _refuse_existing(checked, present, self._datastore)
        for path, file in checked.items():
            with self._translated(f"Writing {path!r} to"):
                self._file_system.makedirs(self._full(path).rpartition("/")[0], exist_ok=True)
                self._file_system.put_file(str(file), self._full(path))

    def fetch(self, path: str, target: Path) -> None:
        """Copy a file to a local path."""
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._translated(f"Reading {path!r} from"), draft_of(target, 0o666) as draft:
            self._file_system.get_file(self._full(checked_path(path)), str(draft))

    def local(self, path: str) -> Path | None:
        """Return the file or folder of a path, if the datastore is a local folder."""
        return Path(self._root, path) if self._is_local else None

    def _full(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """Translate the errors of any file system into one sentence."""
        try:
            yield
        except TrackingError:
            raise
        except Exception as error:  # each file system of fsspec has errors of its own
            reason = (str(error) or type(error).__name__)[:300]
            raise DataError(f"{what} the datastore {self._datastore!r} ({self._location}) failed: {reason}") from error


def check_location(location: str) -> str:
    """Return the location of a datastore: an absolute path or a URL.

    Raises:
        TrackingError: the URL has a password in it, or its protocol cannot be used.

    """
    text = os.fspath(location)
    if "://" not in text or text.startswith("file://"):
        return str(expanded(text.removeprefix("file://")).absolute())
    if "@" in text.partition("://")[2].partition("/")[0] and ":" in text.partition("://")[2].partition("@")[0]:
        raise TrackingError(
            "The URL of a datastore must hold no password: it would be kept in the database.\n"
            "Give the credentials by the environment, as the client of the store reads them."
        )
    _file_system(text)
    return text


def _file_system(location: str) -> tuple[AbstractFileSystem, str]:
    try:
        return open_file_system(location)
    except ValueError as error:
        raise DataError(f"{location} cannot be used as a datastore: {error}") from error


def _refuse_existing(wanted: Mapping[str, Path], present: set[str], datastore: str) -> None:
    if taken := sorted(wanted.keys() & present):
        raise TrackingError(
            f"The datastore {datastore!r} has the file {taken[0]!r} already.\nPass overwrite=True to replace it."
        )
