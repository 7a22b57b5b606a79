"""Blobs in an object store or another file system of fsspec: uploaded under a temporary name, then moved."""

from __future__ import annotations

import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from mljupyter.registry.artifacts.content import CHUNK_BYTES, Readable, copy_content, damaged, write_verified
from mljupyter.registry.artifacts.local_blobs import file_mode
from mljupyter.registry.artifacts.protocols import has_folders, open_file_system
from mljupyter.registry.errors import ArtifactError, ArtifactNotFoundError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

ABANDONED_SECONDS = 24 * 3600.0


class RemoteBlobs:
    """The blobs below a URL such as ``s3://bucket/team``.

    There is no lock across machines. Instead a blob younger than `grace` seconds is never collected, and one older
    than half of that is uploaded again when it is stored again.
    """

    def __init__(self, url: str, grace: float) -> None:
        self.location = re.sub(r"//[^/]*@", "//", url)
        self._fs, self._root = _file_system(url, self.location)
        self.has_folders = has_folders(url)
        self._grace = grace
        self._folders: set[str] = set()

    def hold(self) -> AbstractContextManager[None]:
        """Do nothing: `grace` protects new blobs from the garbage collector."""
        return nullcontext()

    def collecting(self) -> AbstractContextManager[None]:
        """Do nothing: see `hold`."""
        return nullcontext()

    @contextmanager
    def writing(self) -> Iterator[RemoteWriter]:
        """Yield a writer. All its blobs appear when the block ends without an exception."""
        self._remove_abandoned()
        staging = f"{self._root}/staging/{_Writer.here()}"
        writer = RemoteWriter(self, self._fs, staging)
        try:
            yield writer
            writer.publish()
        finally:
            if self._fs.exists(staging):
                self._remove_all(staging)

    def size(self, folder: str, hexadecimal: str) -> int | None:
        """Return the size of a blob in bytes, None when there is none."""
        self._fs.invalidate_cache()
        try:
            return int(self._fs.size(self.path(folder, hexadecimal)))
        except FileNotFoundError:
            return None

    def read(self, folder: str, hexadecimal: str, most: int) -> bytes | None:
        """Return the content of a small blob after checking its digest, None when there is none."""
        self._fs.invalidate_cache()
        try:
            with self._fs.open(self.path(folder, hexadecimal), "rb") as source:
                return cast(bytes, source.read(most))
        except FileNotFoundError:
            return None

    def place(self, hexadecimal: str, target: Path, *, size: int | None, executable: bool, writable: bool) -> None:
        """Download a blob to the new file `target`. Raise `ArtifactError` when the content is damaged."""
        mode = file_mode(executable=executable, writable=writable)
        try:
            with self._fs.open(self.path("blobs", hexadecimal), "rb") as source:
                write_verified(_Readable(source), target, expected_hex=hexadecimal, expected_size=size, mode=mode)
        except FileNotFoundError as error:
            raise ArtifactNotFoundError(f"{self.location} holds no artifact sha256:{hexadecimal}.") from error

    def url(self, hexadecimal: str) -> str:
        """Return a URL of a file's blob, signed for an hour. Raise `ArtifactError` when the store signs none."""
        try:
            return str(self._fs.sign(self.path("blobs", hexadecimal), expiration=3600))
        except NotImplementedError as error:
            raise ArtifactError(f"{self.location} signs no URLs: download the content instead.") from error

    def remove(self, folder: str, hexadecimal: str) -> bool:
        """Remove a blob. Return False when it does not exist."""
        try:
            self._fs.rm_file(self.path(folder, hexadecimal))
        except FileNotFoundError:
            return False
        return True

    def collectable(self, folder: str, keep_seconds: float = 0.0) -> Iterator[str]:
        """Yield the blobs of a folder that are older than the grace, and than `keep_seconds`."""
        for hexadecimal in self.names(folder):
            if self.age(folder, hexadecimal) >= max(self._grace, keep_seconds):
                yield hexadecimal

    def names(self, folder: str) -> Iterator[str]:
        """Yield all blobs of a folder."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(f"{self._root}/{folder}")
        except FileNotFoundError:
            return
        for path in found:
            hexadecimal = path.rsplit("/", 1)[-1]
            if re.fullmatch(r"[0-9a-f]{64}", hexadecimal):  # other programs may write below the same URL
                yield hexadecimal

    @contextmanager
    def opened(self, folder: str, hexadecimal: str) -> Iterator[Readable]:
        """Yield the content of a blob. Raise `ArtifactNotFoundError` when there is none."""
        try:
            source = self._fs.open(self.path(folder, hexadecimal), "rb")
        except FileNotFoundError as error:
            raise ArtifactNotFoundError(f"{self.location} holds no artifact sha256:{hexadecimal}.") from error
        with source:
            yield _Readable(source)

    def note(self, name: str) -> str | None:
        """Return the text of a small file beside the blobs, None when there is none."""
        self._fs.invalidate_cache()
        try:
            with self._fs.open(f"{self._root}/{name}", "rb") as source:
                return str(source.read(1 << 16), "utf-8", "replace")
        except FileNotFoundError:
            return None

    def write_note(self, name: str, text: str) -> None:
        """Write a small file beside the blobs."""
        self.make_folder(f"{self._root}/{name}")
        with self._fs.open(f"{self._root}/{name}", "wb") as sink:
            sink.write(text.encode())

    def path(self, folder: str, hexadecimal: str) -> str:
        """Return the path of a finished blob in the file system."""
        return f"{self._root}/{folder}/{hexadecimal[:2]}/{hexadecimal}"

    def age(self, folder: str, hexadecimal: str) -> float:
        """Return the seconds since a blob was written. 0 if the file system has no times: it is never collected."""
        try:
            modified: datetime = self._fs.modified(self.path(folder, hexadecimal))
        except NotImplementedError:
            return 0.0
        aware = modified if modified.tzinfo else modified.replace(tzinfo=UTC)
        return (datetime.now(UTC) - aware).total_seconds()

    def is_safe(self, folder: str, hexadecimal: str, size: int) -> bool:
        """Return whether a blob is complete, and too young to be collected before a row can refer to it."""
        return self.size(folder, hexadecimal) == size and self.age(folder, hexadecimal) < self._grace / 2

    def make_folder(self, path: str) -> None:
        """Create the folder of a path if the file system has folders."""
        folder = path.rsplit("/", 1)[0]
        if self.has_folders and folder not in self._folders:
            self._fs.makedirs(folder, exist_ok=True)
            self._folders.add(folder)

    def _remove_abandoned(self) -> None:
        staging = f"{self._root}/staging"
        self._fs.invalidate_cache()
        try:
            found = self._fs.ls(staging, detail=False)
        except FileNotFoundError:  # nobody writes; object stores have no empty folders
            return
        for path in found:
            if _Writer.is_dead(path.rstrip("/").rsplit("/", 1)[-1]):
                self._remove_all(path)

    def _remove_all(self, path: str) -> None:
        """Remove a folder. Another writer may remove it at the same time."""
        with suppress(FileNotFoundError):
            self._fs.rm(path, recursive=True)


class RemoteWriter:
    """Uploads blobs under a temporary prefix."""

    def __init__(self, blobs: RemoteBlobs, fs: AbstractFileSystem, staging: str) -> None:
        self._blobs = blobs
        self._fs = fs
        self._staging = staging
        self._staged: dict[tuple[str, str], str] = {}

    def add_file(self, path: Path, on_chunk: Callable[[int], None]) -> tuple[str, int]:
        """Upload a file unless its content exists. Return its digest in hexadecimal and its size."""
        with path.open("rb", buffering=0) as source:
            hexadecimal, size = copy_content(source, None, on_chunk)
            if ("blobs", hexadecimal) in self._staged or self._blobs.is_safe("blobs", hexadecimal, size):
                return hexadecimal, size
            source.seek(0)
            staged = self._new("blobs", hexadecimal)
            with self._fs.open(staged, "wb") as sink:
                sent = copy_content(source, lambda chunk: sink.write(bytes(chunk)))
        if sent != (hexadecimal, size):
            raise ArtifactError(f"{path} changed while it was being stored: store it again when it is complete.")
        self._check(staged, hexadecimal, size)
        self._staged["blobs", hexadecimal] = staged
        return hexadecimal, size

    def add_known(self, folder: str, hexadecimal: str, size: int, source: Readable) -> bool:
        """Upload content with a known digest, unless it exists. Raise `ArtifactError` if it has another one.

        Return False if it exists.
        """
        if (folder, hexadecimal) in self._staged or self._blobs.is_safe(folder, hexadecimal, size):
            return False
        staged = self._new(folder, hexadecimal)
        with self._fs.open(staged, "wb") as sink:
            found, length = copy_content(source, lambda chunk: sink.write(bytes(chunk)))
        if (found, length) != (hexadecimal, size):
            raise damaged(hexadecimal, f"{length:,} bytes with digest sha256:{found} came for {size:,}")
        self._check(staged, hexadecimal, size)
        self._staged[folder, hexadecimal] = staged
        return True

    def add_bytes(self, folder: str, hexadecimal: str, content: bytes) -> None:
        """Upload small content with a known digest, unless it exists."""
        if self._blobs.is_safe(folder, hexadecimal, len(content)):
            return
        staged = self._new(folder, hexadecimal)
        with self._fs.open(staged, "wb") as sink:
            for start in range(0, len(content), CHUNK_BYTES):
                sink.write(content[start : start + CHUNK_BYTES])
        self._check(staged, hexadecimal, len(content))
        self._staged[folder, hexadecimal] = staged

    def publish(self) -> None:
        """Move everything into place in the order of adding: a directory's manifest comes last."""
        for (folder, hexadecimal), staged in self._staged.items():
            final = self._blobs.path(folder, hexadecimal)
            self._blobs.make_folder(final)
            if self._blobs.has_folders:
                self._fs.mv(staged, final)
            else:  # an object store cannot rename; what is staged is removed at the end, all at once
                self._fs.cp_file(staged, final)

    def _new(self, folder: str, hexadecimal: str) -> str:
        staged = f"{self._staging}/{folder}-{hexadecimal}"
        self._blobs.make_folder(staged)
        return staged

    def _check(self, staged: str, hexadecimal: str, size: int) -> None:
        found = self._fs.size(staged)
        if found != size:
            raise damaged(hexadecimal, f"{found:,} bytes arrived of {size:,}")


class _Writer:
    """Names of staging prefixes. A name identifies its process, so that prefixes of ended processes can be found."""

    @staticmethod
    def here() -> str:
        """Return a new name for this process."""
        return f"{int(time.time())}_{socket.gethostname()}_{os.getpid()}_{uuid.uuid4().hex}"

    @staticmethod
    def is_dead(name: str) -> bool:
        """Return whether the process of a name has ended. One on another machine counts as ended after a day."""
        match = re.fullmatch(r"(\d+)_(.+)_(\d+)_[0-9a-f]{32}", name)
        if match is None:
            return False
        if time.time() - int(match[1]) > ABANDONED_SECONDS:
            return True
        if match[2] != socket.gethostname():
            return False
        try:
            os.kill(int(match[3]), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


class _Readable:
    """Adds `readinto`, which copying needs, to the files of fsspec, some of which only have `read`."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def readinto(self, buffer: memoryview) -> int:
        """Fill the start of `buffer`. Return the number of bytes, 0 at the end."""
        chunk = self._source.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _file_system(url: str, location: str) -> tuple[AbstractFileSystem, str]:
    try:
        fs, root = open_file_system(url)
    except ValueError as error:
        raise ArtifactError(f"The artifact store {location} cannot be used: {error}") from error
    return fs, root.rstrip("/")
