"""Reproducible image layers: tar archives with the same bytes at any time and place."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
# The default level of gzip: a higher one saves too little on packages and models for its time.
_LEVEL = 6


@dataclass(frozen=True, slots=True)
class LayerEntry:
    """A file, directory (`source` None and no link) or symbolic link of a layer. `path` is absolute in the image."""

    path: str
    source: Path | bytes | None = None
    executable: bool = False
    link: str | None = None
    owner: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """A written layer: its file, the digest and size of the file, and the digest of the unpacked archive."""

    file: Path
    digest: str
    size: int
    diff_id: str
    created_by: str


def tree_entries(
    root: Path, target: str, *, owner: int = 0, skip: Callable[[str], bool] = lambda relative: False
) -> Iterator[LayerEntry]:
    """Yield entries for everything below a directory, placed below `target` in the image.

    `skip` gets the path of each file relative to `root`. Links within the tree stay links.
    """
    for directory, folders, files in os.walk(root):
        here = Path(directory)
        relative = here.relative_to(root).as_posix()
        place = target if relative == "." else f"{target}/{relative}"
        yield LayerEntry(place, owner=owner)
        linked = [name for name in folders if (here / name).is_symlink()]
        folders[:] = [name for name in folders if name not in linked]
        for name in [*files, *linked]:
            path = here / name
            if skip(path.relative_to(root).as_posix()):
                continue
            if path.is_symlink():
                yield LayerEntry(f"{place}/{name}", link=os.readlink(path), owner=owner)  # noqa: PTH115
            elif path.is_file():
                executable = bool(path.stat().st_mode & stat.S_IXUSR)
                yield LayerEntry(f"{place}/{name}", path, executable, owner=owner)


def write_layer(
    entries: Iterable[LayerEntry],
    target: Path,
    created_by: str,
    on_chunk: Callable[[], None] = lambda: None,
) -> Layer:
    """Write a gzip-compressed tar: sorted, with fixed times, modes and owners.

    Parameters:
        entries: the content. Parent directories are added. If a path is given twice, the last entry counts.
        target: the file to write.
        created_by: its origin, shown in the image's history.
        on_chunk: called between files. It may raise an exception to stop.

    """
    with target.open("wb") as raw:
        compressed = _Digesting(raw)
        # The header has no time and no name, since both would differ each time.
        with gzip.GzipFile(
            filename="", mode="wb", compresslevel=_LEVEL, fileobj=cast("Any", compressed), mtime=0
        ) as zipped:
            content = _Digesting(zipped)
            with tarfile.open(fileobj=cast("Any", content), mode="w|", format=tarfile.PAX_FORMAT) as archive:
                write_entries(archive, entries, on_chunk)
    return Layer(target, compressed.digest, compressed.size, content.digest, created_by)


def write_entries(
    archive: tarfile.TarFile, entries: Iterable[LayerEntry], on_chunk: Callable[[], None] = lambda: None
) -> None:
    """Add entries to an open archive in the same way as `write_layer`."""
    for _, entry in sorted(_with_parents(entries).items()):
        on_chunk()
        _add(archive, entry)


def _with_parents(entries: Iterable[LayerEntry]) -> dict[str, LayerEntry]:
    by_path: dict[str, LayerEntry] = {}
    for entry in entries:
        path = entry.path.strip("/")
        if path:
            by_path[path] = entry
    for path in list(by_path):
        while path := path.rpartition("/")[0]:
            if path not in by_path:
                by_path[path] = LayerEntry(f"/{path}")
    return by_path


def _add(archive: tarfile.TarFile, entry: LayerEntry) -> None:
    info = tarfile.TarInfo(entry.path.strip("/"))
    info.mtime = 0
    info.uid = info.gid = entry.owner
    if entry.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
        archive.addfile(info)
    elif entry.source is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(info)
    else:
        info.mode = 0o755 if entry.executable else 0o644
        with io.BytesIO(entry.source) if isinstance(entry.source, bytes) else entry.source.open("rb") as content:
            info.size = content.seek(0, os.SEEK_END)
            content.seek(0)
            archive.addfile(info, content)


class _Digesting:
    """Passes on the written bytes, and computes their digest and size."""

    def __init__(self, sink: IO[bytes] | gzip.GzipFile) -> None:
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """Write and count."""
        self._hash.update(data)
        self.size += len(data)
        self._sink.write(data)
        return len(data)

    def flush(self) -> None:
        """Flush the target."""
        self._sink.flush()

    @property
    def digest(self) -> str:
        """The digest of all written bytes."""
        return f"sha256:{self._hash.hexdigest()}"
