"""CollectedDirectory: collected data in a directory of this machine, or in a volume that is mounted here.

A scoring script may write anything there. So no symbolic link is followed below the directory of all endpoints, and
only regular files are read: a link could lead to the keys of a workspace.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from mljupyter.client.errors import CollectedDataError
from mljupyter.spec.collected import FOLDER, SUFFIX, CollectedFile, parts_of
from mljupyter.spec.document import SpecError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_MOST_DEPTH = 13
"""The names in a path with an hour. A script that makes deeper directories must not use up the open files."""
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC  # opening a named pipe does not wait


class CollectedDirectory:
    """The `CollectedData` in one directory, which has a directory for each endpoint.

    Parameters:
        root: the directory. It need not exist.

    """

    def __init__(self, root: Path) -> None:
        self._root = root

    async def files(self, endpoint: str, after: str, most: int) -> Sequence[CollectedFile]:
        """Return the files of an endpoint; see `CollectedData.files`."""
        return await asyncio.to_thread(self._files, endpoint, after, most)

    async def read(self, endpoint: str, path: str, offset: int, most: int) -> bytes:
        """Return a piece of a file; see `CollectedData.read`."""
        return await asyncio.to_thread(self._read, endpoint, path, offset, most)

    def _files(self, endpoint: str, after: str, most: int) -> list[CollectedFile]:
        key = after.split("/")
        about = f"the collected data of {endpoint!r}"
        with (
            suppress(FileNotFoundError),
            _refused(about),
            _opened(self._root, [endpoint, FOLDER], _DIRECTORY) as top,
        ):
            found = (file for file in _walk(top, FOLDER, key) if not after or file.path.split("/") > key)
            return list(itertools.islice(found, most))
        return []

    def _read(self, endpoint: str, path: str, offset: int, most: int) -> bytes:
        parts = parts_of(path)
        try:
            with _refused(path), _opened(self._root, [endpoint, *parts], _FILE) as file:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise CollectedDataError(f"{path!r:.300} is no regular file: only such files are read.")
                return os.pread(file, most, offset)
        except FileNotFoundError:
            raise CollectedDataError(
                f"{path!r:.300} does not exist any more: somebody has removed it. List the files again."
            ) from None


def _walk(directory: int, place: str, after: Sequence[str]) -> Iterator[CollectedFile]:
    """Yield the files below an open directory in the order of the names in their paths.

    Parameters:
        directory: the descriptor.
        place: its path.
        after: the names in the path after which the list begins. Directories before it are not entered.

    """
    with os.scandir(directory) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_directory in found:
        path = f"{place}/{name}"
        parts = path.split("/")
        if parts < list(after[: len(parts)]):
            continue
        with _passed_over():
            if is_directory and len(parts) < _MOST_DEPTH:
                with _opened(directory, [name], _DIRECTORY) as inner:
                    yield from _walk(inner, path, after)
                continue
            parts_of(path)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and name.endswith(SUFFIX):
                # A script may have set any time, also one that no calendar has.
                modified = datetime.fromtimestamp(min(max(status.st_mtime, 0.0), _LATEST), UTC)
                yield CollectedFile(path=path, size=status.st_size, modified_time=modified)


@contextmanager
def _opened(start: Path | int, parts: Sequence[str], flags: int) -> Iterator[int]:
    """Yield the descriptor of a file or directory that is reached without a symbolic link."""
    if any(part in ("", ".", "..") or "/" in part for part in parts):
        raise SpecError(f"{'/'.join(parts)!r:.200} leads out of the collected data.")
    open_now = os.open(start, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if isinstance(start, Path) else os.dup(start)
    try:
        for number, part in enumerate(parts, 1):
            inner = os.open(part, flags if number == len(parts) else _DIRECTORY, dir_fd=open_now)
            os.close(open_now)
            open_now = inner
        yield open_now
    finally:
        os.close(open_now)


@contextmanager
def _passed_over() -> Iterator[None]:
    """Pass over what was removed meanwhile, and what is not ours: a link, an odd name."""
    try:
        yield
    except SpecError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Raise errors of the file system as `CollectedDataError`, except that something does not exist."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CollectedDataError(f"{what:.300} cannot be read: {error.strerror or error}.") from None
