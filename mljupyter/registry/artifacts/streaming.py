"""Streams of stored content: a file as it is, a directory as a tar archive, without a copy on disk."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mljupyter.registry.artifacts.content import CHUNK_BYTES, damaged, hex_of
from mljupyter.registry.artifacts.store import FILES, Part

if TYPE_CHECKING:
    from mljupyter.registry.artifacts.manifest import ManifestEntry
    from mljupyter.registry.artifacts.store import ArtifactStore

_FILE_MODE, _EXECUTABLE_MODE = 0o644, 0o755


def pieces_of_file(store: ArtifactStore, digest: str) -> Iterator[bytes]:
    """Yield the content of a stored file in pieces of at most 1 MiB.

    Raises:
        ArtifactNotFoundError: there is no such file.

    """
    yield from _pieces(store, Part(FILES, hex_of(digest), store.size(digest)))


def pieces_of_archive(store: ArtifactStore, entries: list[ManifestEntry], name: str) -> Iterator[bytes]:
    """Yield a tar archive of a stored directory in pieces of at most 1 MiB.

    Parameters:
        store: the artifact store.
        entries: the files of the directory, from `ArtifactStore.entries`.
        name: the directory in the archive that holds them.

    """
    for entry in entries:
        item = tarfile.TarInfo(f"{name}/{entry.path}")
        if entry.digest is None:
            item.type, item.mode = tarfile.DIRTYPE, _EXECUTABLE_MODE
            yield _head(item)
            continue
        item.size, item.mode = entry.size, _EXECUTABLE_MODE if entry.executable else _FILE_MODE
        yield _head(item)
        yield from _pieces(store, Part(FILES, hex_of(entry.digest), entry.size))
        if rest := -entry.size % tarfile.BLOCKSIZE:
            yield bytes(rest)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _head(item: tarfile.TarInfo) -> bytes:
    return item.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _pieces(store: ArtifactStore, part: Part) -> Iterator[bytes]:
    """Yield the content of a blob; raise `ArtifactError` at its end if it is damaged."""
    buffer, digest, size = memoryview(bytearray(CHUNK_BYTES)), hashlib.sha256(), 0
    with store.opened(part) as source:
        while count := source.readinto(buffer):
            digest.update(buffer[:count])
            size += count
            yield bytes(buffer[:count])
    if digest.hexdigest() != part.hexadecimal:
        raise damaged(part.hexadecimal, f"its {size:,} bytes have another digest")
