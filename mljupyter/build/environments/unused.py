"""Find environments that were not used for a long time, and remove them safely."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mljupyter.build.environments.record import RECORD, Place
from mljupyter.registry.locking import try_lock

_DOOMED, _SCRATCH = ".removed-", ".build-"


@dataclass(frozen=True)
class UnusedEnvironment:
    """An unused environment, or the remains of a killed build or removal."""

    directory: Path
    used_time: float
    size: int


def mark_used(place: Place) -> None:
    """Note the time of this use of an environment. One that belongs to another user is left as it is."""
    with contextlib.suppress(OSError):
        os.utime(place.directory / RECORD)


def unused_environments(root: Path, *, unused_seconds: float, in_use: Iterable[str]) -> list[UnusedEnvironment]:
    """Return the environments below `root` that were not requested within a time and that no process runs in.

    Parameters:
        root: the directory of environments.
        unused_seconds: the least time since the last request.
        in_use: interpreters and arguments of processes that are needed. An environment that contains one is kept.

    """
    used_before = time.time() - unused_seconds
    kept = [place for path in in_use if path.startswith("/") for place in (path, _resolved(path))]
    found = []
    for directory in _directories(root):
        used = _used_time(directory)
        if used is None:
            continue  # another process has just removed it
        inside = f"{directory}{os.sep}"
        if used < used_before and not any(inside in path for path in kept):
            found.append(UnusedEnvironment(directory, used, _size(directory)))
    return found


def remove_environment(unused: UnusedEnvironment) -> bool:
    """Remove an environment. Return False when it is being built, or was requested again since it was found.

    The versions that its first build installed are kept: a new build installs the same.
    """
    directory = unused.directory
    if directory.name.startswith((_DOOMED, _SCRATCH)):
        shutil.rmtree(directory, ignore_errors=True)
        return True
    place = Place(directory.parent, directory.name)
    descriptor = os.open(place.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not try_lock(descriptor, fcntl.LOCK_EX):
            return False
        # Rename first: an interrupted removal then leaves nothing that looks like an environment.
        doomed = directory.with_name(f"{_DOOMED}{uuid.uuid4().hex}")
        try:
            directory.rename(doomed)
        except FileNotFoundError:  # another process has removed it since it was found
            return False
        if (_used_time(doomed) or 0.0) > unused.used_time:
            doomed.rename(directory)
            return False
        shutil.rmtree(doomed, ignore_errors=True)
        place.log.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)


def _directories(root: Path) -> Iterator[Path]:
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(root.resolve().iterdir()):
            ours = (path / RECORD).is_file() or path.name.startswith((_DOOMED, _SCRATCH))
            if path.is_dir() and not path.is_symlink() and ours:
                yield path


def _used_time(directory: Path) -> float | None:
    """Return the time of the last request of an environment, or that of remains; None if it does not exist."""
    for place in (directory / RECORD, directory):
        with contextlib.suppress(FileNotFoundError):
            return place.stat().st_mtime
    return None


def _resolved(path: str) -> str:
    """Return a path with all links resolved except in its last part: an environment's python links to another one."""
    return f"{Path(path).parent.resolve()}{os.sep}{Path(path).name}"


def _size(directory: Path) -> int:
    """Return the bytes that the removal of a directory frees: those of files without a hard link elsewhere."""
    total = 0
    for here, _, files in os.walk(directory):
        for name in files:
            with contextlib.suppress(OSError):
                status = os.lstat(os.path.join(here, name))  # noqa: PTH118 - many thousand files
                total += status.st_size if status.st_nlink == 1 else 0
    return total
