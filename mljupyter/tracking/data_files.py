"""The files of a dataset: found from its sources, and brought to this machine.

A source is a document with one of these forms: ``{"path": "/data/*.csv"}``, ``{"datastore": NAME, "path": "a/*.csv"}``,
``{"url": "https://example.com/a.csv"}``.
"""

from __future__ import annotations

import glob
import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

from mljupyter.files import draft_of
from mljupyter.tracking.errors import DataError
from mljupyter.tracking.paths import checked_path, fixed_part, has_wildcards

if TYPE_CHECKING:
    from mljupyter.tracking.datastores import Datastores

Source = Mapping[str, Any]
_SECONDS = 60.0


class DataFile(Protocol):
    """One file of a dataset."""

    @property
    def relative(self) -> str:
        """Its path below the common folder of its source."""
        ...

    @property
    def path(self) -> Path | None:
        """The file on this machine; None if it is elsewhere."""
        ...

    def fetch(self, target: Path) -> None:
        """Copy it to a local path; missing folders are created."""
        ...


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine."""

    relative: str
    path: Path

    def fetch(self, target: Path) -> None:
        """Copy it to a local path."""
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.path, target)


@dataclass(frozen=True)
class StoreFile:
    """A file of a datastore."""

    relative: str
    datastore: str
    name: str
    datastores: Datastores

    @property
    def path(self) -> Path | None:
        """The file, if the datastore is a local folder."""
        return self.datastores.files(self.datastore).local(self.name)

    def fetch(self, target: Path) -> None:
        """Copy it to a local path."""
        self.datastores.files(self.datastore).fetch(self.name, target)


@dataclass(frozen=True)
class UrlFile:
    """A file at a URL."""

    relative: str
    url: str

    @property
    def path(self) -> Path | None:
        """None: the file is elsewhere."""
        return None

    def fetch(self, target: Path) -> None:
        """Copy it to a local path."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.url.startswith(("http://", "https://")):
            _download(self.url, target)
        else:
            _copy_by_fsspec(self.url, target)


def find(sources: Sequence[Source], datastores: Datastores) -> list[DataFile]:
    """Return the files of all sources, in the order of the sources, then by name.

    Raises:
        DataError: a source names no file.

    """
    return [file for source in sources for file in _of(source, datastores)]


def local_folder(sources: Sequence[Source], datastores: Datastores) -> Path | None:
    """Return the folder that is all of a dataset, if it is one folder on this machine; then no copy is needed."""
    if len(sources) != 1 or "url" in sources[0]:
        return None
    path = str(sources[0]["path"])
    base = path.removesuffix("/**").removesuffix("/*") if path.endswith("/**") else path
    if has_wildcards(base):
        return None
    store = sources[0].get("datastore")
    place = Path(base) if store is None else datastores.files(store).local(base)
    return place if place is not None and place.is_dir() else None


def bring(files: Sequence[DataFile], folder: Path, *, overwrite: bool = True) -> list[Path]:
    """Copy files into a folder under their relative paths, and return the copies.

    Raises:
        DataError: there is a file already, and `overwrite` is not set; a file cannot be read.

    """
    targets = [folder / checked_path(file.relative) for file in files]  # keys of object stores may hold anything
    if not overwrite and (taken := next((target for target in targets if target.exists()), None)):
        raise DataError(f"{taken} exists already.\nPass overwrite=True to replace it, or choose another target_path.")
    for file, target in zip(files, targets, strict=True):
        file.fetch(target)
    return targets


def readable(file: DataFile, folder: Path) -> Path:
    """Return a path to read a file from: its own, or a copy in a temporary folder."""
    if file.path is not None:
        return file.path
    name = hashlib.sha256(repr(file).encode()).hexdigest()[:16]
    target = folder / f"{name}-{PurePosixPath(file.relative).name}"
    if not target.exists():
        file.fetch(target)
    return target


def _of(source: Source, datastores: Datastores) -> list[DataFile]:
    if "url" in source:
        url = str(source["url"])
        return [UrlFile(PurePosixPath(unquote(urlsplit(url).path)).name or "data", url)]
    pattern = str(source["path"])
    if (store := source.get("datastore")) is not None:
        wanted = pattern.strip("/")
        names = datastores.files(store).list(wanted)
        if not names:
            raise DataError(
                f"The datastore {store!r} has no file {pattern!r}.\nUpload it first: datastore.upload_files"
            )
        return [StoreFile(_below(name, fixed_part(wanted)), store, name, datastores) for name in names]
    base = fixed_part(pattern)
    named = glob.glob(pattern, recursive=True) if has_wildcards(pattern) else [pattern]  # noqa: PTH207 - absolute
    start = [Path(name) for name in named]
    found = sorted({file for path in start for file in ([path] if path.is_file() else path.rglob("*"))})
    files: list[DataFile] = [LocalFile(_below(str(path), base), path) for path in found if path.is_file()]
    if not files:
        raise DataError(f"There is no file {pattern!r} on this machine.\nCheck the path, or upload it to a datastore.")
    return files


def _below(name: str, base: str) -> str:
    """Return a path relative to the folder of its source; for a single file its name."""
    if name == base:
        return PurePosixPath(name).name
    return name.removeprefix(base).lstrip("/")


def _download(url: str, target: Path) -> None:
    import httpx

    try:
        with (
            httpx.stream("GET", url, follow_redirects=True, timeout=_SECONDS) as answer,
            draft_of(target, 0o666) as draft,
        ):
            answer.raise_for_status()
            with draft.open("wb") as sink:
                for chunk in answer.iter_bytes():
                    sink.write(chunk)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise DataError(f"{_shown(url)} cannot be read: {_shown(str(error))[:300]}") from error


def _copy_by_fsspec(url: str, target: Path) -> None:
    from fsspec.core import url_to_fs

    try:
        file_system, path = url_to_fs(url)
        with draft_of(target, 0o666) as draft:
            file_system.get_file(path, str(draft))
    except Exception as error:  # each file system of fsspec has errors of its own
        raise DataError(f"{_shown(url)} cannot be read: {str(error)[:300]}") from error


def _shown(url: str) -> str:
    """Return a URL without its query, which may be a signature that grants access."""
    return url.partition("?")[0]
