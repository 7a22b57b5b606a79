"""Blobs in a directory of this machine: staged, synced, then renamed into place; read-only; fetched as hard links."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mljupyter.files import make_private_directory, write_whole
from mljupyter.registry.artifacts.content import Readable, copy_content, damaged, write_verified
from mljupyter.registry.artifacts.staging import remove_abandoned, staging_directory
from mljupyter.registry.errors import ArtifactError, ArtifactNotFoundError
from mljupyter.registry.locking import locked_directory

BLOB_MODE = 0o400
GARBAGE_LOCK_SECONDS = 30.0
# The errors of a file system that cannot make this hard link. Then the content is copied.
_NO_LINK = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EACCES, errno.ENOTSUP, errno.ENOSYS})


class LocalBlobs:
    """The blobs below one directory, which is created with mode 0700 if necessary.

    ``<folder>/<first two digits>/<digest>`` are finished blobs, ``staging/`` is unfinished work. Writers hold a shared
    lock on the directory, the garbage collector an exclusive one.
    """

    def __init__(self, root: Path) -> None:
        self.location = str(root)
        self._root = root
        self._staging = root / "staging"
        make_private_directory(self._staging)
        remove_abandoned(self._staging)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Block the garbage collector during the block. Raise `ArtifactError` when the store was moved away."""
        self._check_present()
        with locked_directory(self._root, exclusive=False):
            self._check_present()  # it may have been moved while this process waited
            yield

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Block writers during the block. Raise `ArtifactError` when some are still writing after 30 s."""
        try:
            with locked_directory(self._root, exclusive=True, timeout=GARBAGE_LOCK_SECONDS):
                yield
        except TimeoutError as error:
            raise ArtifactError(
                f"{self.location} is being written to: try again when no model is being registered."
            ) from error

    def _check_present(self) -> None:
        if not self._root.exists():
            raise ArtifactError(
                f"The artifact store {self.location} is gone: it was moved, as by 'mljupyter workspace migrate'.\n"
                "Restart this notebook or program: it opens the workspace where it is now."
            )

    @contextmanager
    def writing(self) -> Iterator[LocalWriter]:
        """Yield a writer. All its blobs appear when the block ends without an exception."""
        with self.hold():
            remove_abandoned(self._staging)
            with staging_directory(self._staging) as directory:
                writer = LocalWriter(self._root, directory)
                yield writer
                writer.publish()

    def size(self, folder: str, hexadecimal: str) -> int | None:
        """Return the size of a blob in bytes, None when there is none."""
        try:
            return _final(self._root, folder, hexadecimal).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, folder: str, hexadecimal: str, most: int) -> bytes | None:
        """Return the content of a small blob, None when there is none."""
        try:
            with _final(self._root, folder, hexadecimal).open("rb") as source:
                return source.read(most)
        except FileNotFoundError:
            return None

    def place(self, hexadecimal: str, target: Path, *, size: int | None, executable: bool, writable: bool) -> None:
        """Create the new file `target` with the content of a blob: a hard link where possible, else a copy."""
        blob = _final(self._root, "blobs", hexadecimal)
        try:
            found = blob.stat().st_size
        except FileNotFoundError as error:
            raise ArtifactNotFoundError(f"{self.location} holds no artifact sha256:{hexadecimal}.") from error
        if size is not None and found != size:
            raise damaged(hexadecimal, f"{found:,} bytes where {size:,} were stored")
        # A hard link shares its mode with the blob, which is not executable.
        if not (executable or writable):
            try:
                os.link(blob, target)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
            else:
                return
        with blob.open("rb", buffering=0) as source:
            mode = file_mode(executable=executable, writable=writable)
            write_verified(source, target, expected_hex=hexadecimal, expected_size=size, mode=mode)

    def url(self, hexadecimal: str) -> str:
        """Return the URL of a file's blob on this machine."""
        return _final(self._root, "blobs", hexadecimal).as_uri()

    def remove(self, folder: str, hexadecimal: str) -> bool:
        """Remove a blob. Return False when it does not exist."""
        try:
            _final(self._root, folder, hexadecimal).unlink()
        except FileNotFoundError:
            return False
        return True

    def collectable(self, folder: str, keep_seconds: float = 0.0) -> Iterator[str]:
        """Yield the blobs of a folder that were not stored within the last `keep_seconds`.

        While `collecting`, no writer relies on a blob without a reference.
        """
        stored_before = time.time() - keep_seconds
        for path in (self._root / folder).glob("??/*"):
            if not keep_seconds or path.stat().st_mtime < stored_before:
                yield path.name

    def names(self, folder: str) -> Iterator[str]:
        """Yield all blobs of a folder."""
        return (path.name for path in (self._root / folder).glob("??/*"))

    @contextmanager
    def opened(self, folder: str, hexadecimal: str) -> Iterator[Readable]:
        """Yield the content of a blob. Raise `ArtifactNotFoundError` when there is none."""
        try:
            source = _final(self._root, folder, hexadecimal).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise ArtifactNotFoundError(f"{self.location} holds no artifact sha256:{hexadecimal}.") from error
        with source:
            yield source

    def note(self, name: str) -> str | None:
        """Return the text of a small file beside the blobs, None when there is none."""
        with suppress(FileNotFoundError):
            return (self._root / name).read_text(encoding="utf-8")
        return None

    def write_note(self, name: str, text: str) -> None:
        """Write a small file beside the blobs."""
        write_whole(self._root / name, text, durable=True)


class LocalWriter:
    """Collects blobs in a staging directory on the file system of the store."""

    def __init__(self, root: Path, directory: Path) -> None:
        self._root = root
        self._directory = directory
        self._staged: dict[tuple[str, str], Path] = {}

    def add_file(self, path: Path, on_chunk: Callable[[int], None]) -> tuple[str, int]:
        """Copy a file into the staging directory. Return its digest in hexadecimal and its size."""
        incoming = self._directory / "incoming"
        with path.open("rb", buffering=0) as source, _create(incoming) as sink:
            hexadecimal, size = copy_content(source, sink.write, on_chunk)
            self._stage("blobs", hexadecimal, incoming, size, sink)
        return hexadecimal, size

    def add_known(self, folder: str, hexadecimal: str, size: int, source: Readable) -> bool:
        """Copy content with a known digest, unless it exists. Raise `ArtifactError` if it has another one.

        Return False if it exists.
        """
        final = _final(self._root, folder, hexadecimal)
        if (folder, hexadecimal) in self._staged or (final.exists() and final.stat().st_size == size):
            return False
        incoming = self._directory / "incoming"
        with _create(incoming) as sink:
            found, length = copy_content(source, sink.write)
            if (found, length) != (hexadecimal, size):
                raise damaged(hexadecimal, f"{length:,} bytes with digest sha256:{found} came for {size:,}")
            self._stage(folder, hexadecimal, incoming, size, sink)
        return True

    def add_bytes(self, folder: str, hexadecimal: str, content: bytes) -> None:
        """Stage small content with a known digest."""
        incoming = self._directory / "incoming"
        with _create(incoming) as sink:
            sink.write(content)
            self._stage(folder, hexadecimal, incoming, len(content), sink)

    def _stage(self, folder: str, hexadecimal: str, incoming: Path, size: int, sink: BinaryIO) -> None:
        key = (folder, hexadecimal)
        final = _final(self._root, folder, hexadecimal)
        # An existing blob of another size is damaged, and is replaced.
        if key in self._staged or (final.exists() and final.stat().st_size == size):
            if key not in self._staged:
                os.utime(final)  # update its time, by which the garbage collector finds the time of storing
            incoming.unlink()
            return
        sink.flush()
        os.fchmod(sink.fileno(), BLOB_MODE)
        os.fsync(sink.fileno())
        self._staged[key] = incoming.rename(self._directory / f"{folder}-{hexadecimal}")

    def publish(self) -> None:
        """Rename everything into place in the order of adding: a directory's manifest comes last."""
        changed = set()
        for (folder, hexadecimal), staged in self._staged.items():
            final = _final(self._root, folder, hexadecimal)
            for directory in (final.parent.parent, final.parent):
                directory.mkdir(mode=0o700, exist_ok=True)
            staged.rename(final)
            changed |= {final.parent, final.parent.parent, self._root}
        # Sync, so that after a power cut no row of the database refers to lost content.
        for directory in changed:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _create(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: PTH123


def file_mode(*, executable: bool, writable: bool) -> int:
    """Return the mode of a fetched file: a shared one is read-only, a writable copy follows the umask."""
    if writable:
        return 0o777 if executable else 0o666
    return 0o500 if executable else BLOB_MODE


def _final(root: Path, folder: str, hexadecimal: str) -> Path:
    return root / folder / hexadecimal[:2] / hexadecimal
