"""The artifact store: files and directories by the digest of their content."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mljupyter.errors import MLJupyterError
from mljupyter.files import make_private_directory
from mljupyter.registry.artifacts import manifest
from mljupyter.registry.artifacts.content import Readable, hex_of
from mljupyter.registry.artifacts.local_blobs import LocalBlobs
from mljupyter.registry.artifacts.manifest import ManifestEntry
from mljupyter.registry.artifacts.protocols import is_refusal, reason_of
from mljupyter.registry.artifacts.remote_blobs import RemoteBlobs
from mljupyter.registry.artifacts.staging import remove_abandoned, staging_directory
from mljupyter.registry.artifacts.tree import TreeEntry, absolute, look_up, walk
from mljupyter.registry.errors import (
    FULL_DISK_ERRNOS,
    ArtifactError,
    ArtifactNotFoundError,
    ArtifactPathNotFoundError,
    TargetExistsError,
    storage_full,
)

REMOTE_GRACE_SECONDS = 3600.0
FILES, DIRECTORIES = "blobs", "directories"
_MARK = "database"
# The errors of a rename when the target has appeared in the meantime.
_OCCUPIED = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR})


@dataclass(frozen=True, slots=True)
class Artifact:
    """Stored content: its digest (``sha256:...``), kind, size in bytes, and the basename of the stored path."""

    digest: str
    kind: Literal["file", "directory"]
    size: int
    name: str


@dataclass(frozen=True, slots=True)
class Swept:
    """The result of a garbage collection: the number of removed blobs, and their bytes."""

    blobs: int
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """A blob as it is kept: a file, or the list of files of a directory. Its name is its digest in hexadecimal."""

    folder: str
    hexadecimal: str
    size: int


class ArtifactStore:
    """Keeps files and directories once per content, in a local directory or at an fsspec URL.

    A file is a blob. A directory is the blobs of its files and a manifest, which is a blob in another folder. Memory
    use is small for any size. A digest never leads to incomplete content, not even after a ``kill -9``, and the next
    writer removes the remains of a killed one.

    `remote_grace` is the time in seconds for which a store by URL keeps content without a reference.

    >>> store = ArtifactStore("artifacts")
    >>> model = store.put(Path("model.pkl"))
    >>> store.fetch(model.digest, Path("served/model.pkl"))
    """

    def __init__(self, url_or_path: str | Path, *, remote_grace: float = REMOTE_GRACE_SECONDS) -> None:
        text = os.fspath(url_or_path)
        self._blobs: LocalBlobs | RemoteBlobs
        if "://" in text and not text.startswith("file://"):
            self._blobs = RemoteBlobs(text, remote_grace)
        else:
            root = absolute(text.removeprefix("file://"))
            with self._translated(root, None, "opening the artifact store"):
                self._blobs = LocalBlobs(root)

    @property
    def location(self) -> str:
        """The directory or URL, without credentials."""
        return self._blobs.location

    def __repr__(self) -> str:
        return f"ArtifactStore({self.location!r})"

    def put(
        self,
        path: Path,
        *,
        ignore: Callable[[str], bool] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Artifact:
        """Store a file, or a directory with everything below it.

        `ignore` gets each path below a directory, with ``/`` at the end for directories, and returns True to leave it
        out. `on_progress` gets the stored bytes and their total. Raises `ArtifactPathNotFoundError` for a missing path,
        `ArtifactError` for content that cannot be read or stored, `StorageFullError` when no space is left.
        """
        path = absolute(path)
        if path.is_dir():
            return self._put_tree(path, list(walk(path, ignore)), on_progress)
        if not path.exists():
            raise ArtifactPathNotFoundError(f"{path} does not exist.")
        if not path.is_file():
            raise ArtifactError(f"{path} is neither a file nor a directory: it cannot be stored.")
        total = path.stat().st_size
        with self._translated(self.location, total, str(path)), self._blobs.writing() as writer:
            hexadecimal, size = writer.add_file(path, _counter(total, on_progress))
        return Artifact(f"sha256:{hexadecimal}", "file", size, path.name)

    def put_files(
        self,
        base: Path,
        relative_paths: Iterable[str],
        *,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Artifact:
        """Store the named files below `base` as a directory of only these files. Raises the same errors as `put`."""
        base = absolute(base)
        entries = [look_up(base, relative) for relative in dict.fromkeys(relative_paths)]
        return self._put_tree(base, entries, on_progress)

    def fetch(self, digest: str, target: Path, *, size: int | None = None, writable: bool = False) -> Path:
        """Create `target` with the content of an artifact, atomically, and return it.

        A file becomes a read-only hard link if the store is local, else a copy. With `writable` it is a copy with usual
        modes that may be changed. `size` is the expected size of a file, if known. Raises `TargetExistsError`,
        `ArtifactNotFoundError`, `StorageFullError`, or `ArtifactError` for damaged content.
        """
        hexadecimal = hex_of(digest)
        target = absolute(target)
        if os.path.lexists(target):
            raise _target_exists(target)
        prefix = f".{target.name[:100]}."
        with self._translated(target, size, f"artifact {digest}"):
            if writable:
                target.parent.mkdir(parents=True, exist_ok=True)
            else:
                make_private_directory(target.parent)
            remove_abandoned(target.parent, prefix)
            with staging_directory(target.parent, prefix) as staging:
                content = staging / "content"
                entries = self._entries(hexadecimal)
                if entries is None:
                    self._blobs.place(hexadecimal, content, size=size, executable=False, writable=writable)
                else:
                    self._place_tree(entries, content, writable)
                try:
                    content.rename(target)
                except OSError as error:
                    if error.errno in _OCCUPIED:
                        raise _target_exists(target) from error
                    raise
        return target

    def size(self, digest: str) -> int:
        """Return the size of an artifact in bytes. For a directory it is the total of its files."""
        hexadecimal = hex_of(digest)
        with self._translated(self.location, None, f"artifact {digest}"):
            entries = self._entries(hexadecimal)
            size = self._blobs.size(FILES, hexadecimal) if entries is None else sum(entry.size for entry in entries)
        if size is None:
            raise ArtifactNotFoundError(f"{self.location} holds no artifact {digest}.")
        return size

    def files(self, digest: str) -> list[str] | None:
        """Return the paths of the files in a stored directory; None when the artifact is a single file."""
        entries = self.entries(digest)
        return None if entries is None else [entry.path for entry in entries if entry.digest is not None]

    def urls(self, digest: str) -> dict[str, str]:
        """Return a URL for each file of an artifact by its path; the path of a single file is empty.

        URLs of an object store are signed for an hour.

        Raises:
            ArtifactNotFoundError: there is no such artifact.
            ArtifactError: the object store signs no URLs.

        """
        hexadecimal = hex_of(digest)
        with self._translated(self.location, None, f"artifact {digest}"):
            entries = self._entries(hexadecimal)
            if entries is not None:
                return {entry.path: self._blobs.url(hex_of(entry.digest)) for entry in entries if entry.digest}
            if self._blobs.size(FILES, hexadecimal) is None:
                raise ArtifactNotFoundError(f"{self.location} holds no artifact {digest}.")
            return {"": self._blobs.url(hexadecimal)}

    def entries(self, digest: str) -> list[ManifestEntry] | None:
        """Return the files of a stored directory with digests and sizes; None when the artifact is a single file."""
        with self._translated(self.location, None, f"artifact {digest}"):
            return self._entries(hex_of(digest))

    def exists(self, digest: str) -> bool:
        """Return whether the store holds an artifact."""
        hexadecimal = hex_of(digest)
        with self._translated(self.location, None, f"artifact {digest}"):
            return any(self._blobs.size(folder, hexadecimal) is not None for folder in (DIRECTORIES, FILES))

    def delete(self, digest: str) -> None:
        """Remove an artifact, even a referenced one. The next garbage collection removes the files of a directory."""
        hexadecimal = hex_of(digest)
        with self._translated(self.location, None, f"artifact {digest}"):
            removed = [self._blobs.remove(folder, hexadecimal) for folder in (DIRECTORIES, FILES)]
        if not any(removed):
            raise ArtifactNotFoundError(f"{self.location} holds no artifact {digest}.")

    def hold(self) -> AbstractContextManager[None]:
        """Protect content that is stored during the block from garbage collection, until a reference to it is saved.

        >>> with store.hold():
        ...     artifact = store.put(path)
        ...     save_reference_to(artifact.digest)
        """
        return self._blobs.hold()

    def frozen(self) -> AbstractContextManager[None]:
        """Keep others from storing content in a local store during the block.

        Raises:
            ArtifactError: when writers are still busy after 30 s.

        """
        return self._blobs.collecting()

    def collect_garbage(self, referenced: Collection[str] | Callable[[], Collection[str]]) -> int:
        """Remove every blob that no digest in `referenced` needs. Return their number. See `sweep`."""
        return self.sweep(referenced).blobs

    def sweep(
        self,
        referenced: Collection[str] | Callable[[], Collection[str]],
        *,
        keep_seconds: float = 0.0,
        dry_run: bool = False,
    ) -> Swept:
        """Remove every blob that no digest in `referenced` needs. Return their number and total size.

        Pass a function if references can appear concurrently: it is called when no writer is left that could add one.
        A store by URL keeps blobs that are younger than its grace.

        Parameters:
            referenced: digests of artifacts to keep.
            keep_seconds: content that was stored within this time is also kept, with everything it needs.
            dry_run: remove nothing.

        Raises:
            ArtifactError: when writers are still busy after 30 s.

        """
        with self._translated(self.location, None, "collecting garbage"), self._blobs.collecting():
            digests = referenced() if callable(referenced) else referenced
            needed = {hex_of(digest) for digest in digests}
            old = set(self._blobs.collectable(DIRECTORIES, keep_seconds))
            # A young manifest stays even without a reference, and its files stay whatever their age.
            directories = needed | (set(self._blobs.collectable(DIRECTORIES)) - old)
            files = set(needed)
            for hexadecimal in directories:
                files |= {hex_of(entry.digest) for entry in self._entries(hexadecimal) or () if entry.digest}
            # Manifests first: a directory without manifest is removed cleanly, one without its files would be damaged.
            doomed = [(DIRECTORIES, name) for name in old - needed]
            doomed += [(FILES, name) for name in self._blobs.collectable(FILES, keep_seconds) if name not in files]
            size = sum(self._blobs.size(folder, name) or 0 for folder, name in doomed)
            if dry_run:
                return Swept(len(doomed), size)
            return Swept(sum(self._blobs.remove(folder, name) for folder, name in doomed), size)

    def parts(self, digest: str) -> list[Part]:
        """Return the blobs that an artifact consists of, the list of files of a directory last.

        Raises:
            ArtifactNotFoundError: there is no such artifact.

        """
        hexadecimal = hex_of(digest)
        with self._translated(self.location, None, f"artifact {digest}"):
            entries = self._entries(hexadecimal)
            if entries is None:
                return [self._part(FILES, hexadecimal)]
            files = dict.fromkeys((hex_of(entry.digest), entry.size) for entry in entries if entry.digest)
            return [*(Part(FILES, name, size) for name, size in files), self._part(DIRECTORIES, hexadecimal)]

    def all_parts(self) -> list[Part]:
        """Return all blobs of the store, files first, in the order of their names."""
        with self._translated(self.location, None, "listing its content"):
            return [
                self._part(folder, name)
                for folder in (FILES, DIRECTORIES)
                for name in sorted(self._blobs.names(folder))
            ]

    @contextmanager
    def opened(self, part: Part) -> Iterator[Readable]:
        """Yield the content of a blob."""
        with (
            self._translated(self.location, None, f"artifact sha256:{part.hexadecimal}"),
            self._blobs.opened(part.folder, part.hexadecimal) as source,
        ):
            yield source

    def add_parts(self, parts: Iterable[tuple[Part, Callable[[], AbstractContextManager[Readable]]]]) -> int:
        """Store blobs that another store or an archive has; all of them, or none after an error.

        Parameters:
            parts: each blob, and a function that opens its content.

        Raises:
            ArtifactError: the content of one does not have its digest.
            StorageFullError: no space is left.

        Returns the number of those that were not there yet.

        """
        added = 0
        with self._translated(self.location, None, "copying content"), self._blobs.writing() as writer:
            for part, opened in parts:
                with opened() as source:
                    added += writer.add_known(part.folder, part.hexadecimal, part.size, source)
        return added

    def lacks(self, part: Part) -> bool:
        """Return whether a blob is missing here, or has another size."""
        with self._translated(self.location, None, f"artifact sha256:{part.hexadecimal}"):
            return self._blobs.size(part.folder, part.hexadecimal) != part.size

    def claim(self, identity: str) -> None:
        """Mark the store as that of one database.

        Raises:
            ArtifactError: it is that of another one, whose garbage collection would remove what this one stores.

        """
        with self._translated(self.location, None, "marking it"):
            present = self._blobs.note(_MARK)
            if present is None:
                self._blobs.write_note(_MARK, identity)
            elif present.strip() != identity:
                raise ArtifactError(
                    f"The artifact store {self.location} belongs to another database: each would remove what it does "
                    "not know.\nUse another path below the bucket or container for this one."
                )

    def _part(self, folder: str, hexadecimal: str) -> Part:
        size = self._blobs.size(folder, hexadecimal)
        if size is None:
            raise ArtifactNotFoundError(f"{self.location} holds no artifact sha256:{hexadecimal}.")
        return Part(folder, hexadecimal, size)

    def _put_tree(
        self, base: Path, entries: list[TreeEntry], on_progress: Callable[[int, int], None] | None
    ) -> Artifact:
        total = sum(entry.size for entry in entries)
        counter = _counter(total, on_progress)
        listed = []
        with self._translated(self.location, total, str(base)), self._blobs.writing() as writer:
            for entry in entries:
                if entry.is_directory:
                    listed.append(ManifestEntry(entry.relative, None, 0, executable=False))
                    continue
                hexadecimal, size = writer.add_file(entry.path, counter)
                listed.append(ManifestEntry(entry.relative, f"sha256:{hexadecimal}", size, entry.executable))
            content = manifest.encode(listed)
            hexadecimal = hashlib.sha256(content).hexdigest()
            writer.add_bytes(DIRECTORIES, hexadecimal, content)
        return Artifact(f"sha256:{hexadecimal}", "directory", sum(entry.size for entry in listed), base.name)

    def _entries(self, hexadecimal: str) -> list[ManifestEntry] | None:
        """Return the entries of a stored directory, None when there is no directory with this digest."""
        content = self._blobs.read(DIRECTORIES, hexadecimal, manifest.MOST_MANIFEST_BYTES)
        if content is None:
            return None
        if hashlib.sha256(content).hexdigest() != hexadecimal:
            raise ArtifactError(
                f"The list of files of artifact sha256:{hexadecimal} is damaged in {self.location}.\n"
                "Delete the artifact and register its source again."
            )
        return manifest.decode(content, f"sha256:{hexadecimal}")

    def _place_tree(self, entries: list[ManifestEntry], content: Path, writable: bool) -> None:
        mode = 0o777 if writable else 0o700
        content.mkdir(mode=mode)
        made = {content}
        for entry in entries:
            path = content / entry.path
            missing = [path] if entry.digest is None else []
            missing += [parent for parent in path.parents if parent.is_relative_to(content)]
            for directory in reversed([directory for directory in missing if directory not in made]):
                directory.mkdir(mode=mode)
                made.add(directory)
            if entry.digest is not None:
                self._blobs.place(
                    hex_of(entry.digest), path, size=entry.size, executable=entry.executable, writable=writable
                )

    @contextmanager
    def _translated(self, place: Path | str, needed: int | None, what: str) -> Iterator[None]:
        """Translate the errors of the file system into errors with a remedy."""
        try:
            yield
        except MLJupyterError:
            raise
        except Exception as error:
            if not isinstance(error, OSError):
                if not is_refusal(error):
                    raise
                raise ArtifactError(
                    f"{place} failed with {what}: {reason_of(error)}.\n"
                    "Check its URL, your credentials for it and the connection."
                ) from error
            reason = error.strerror or str(error) or type(error).__name__
            if error.errno in FULL_DISK_ERRNOS:
                raise storage_full(place, needed, what, reason) from error
            where = f" ({error.filename})" if isinstance(error.filename, str | Path) else ""
            raise ArtifactError(
                f"{place} failed with {what}: {reason}{where}.\nCheck the path, its permissions and the connection."
            ) from error


def _counter(total: int, on_progress: Callable[[int, int], None] | None) -> Callable[[int], None]:
    """Return a function to call with the size of each chunk."""
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        if on_progress is not None:
            # If a file grows while it is stored, progress must not exceed the total.
            on_progress(done, max(done, total))

    count(0)
    return count


def _target_exists(target: Path) -> TargetExistsError:
    return TargetExistsError(f"{target} already exists: remove it, or choose another target.")
