"""Staging directories for unfinished work, each locked by the process that works in it.

The lock ends with its process in any case, so an unlocked staging directory is abandoned.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mljupyter.registry.locking import try_lock, wait_for_lock

SUFFIX = ".part"


@contextmanager
def staging_directory(parent: Path, prefix: str = "") -> Iterator[Path]:
    """Create a directory (0700) below `parent` for the block, and remove it with its content afterwards."""
    while True:
        directory = parent / f"{prefix}{uuid.uuid4().hex}{SUFFIX}"
        directory.mkdir(mode=0o700)
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            wait_for_lock(descriptor, fcntl.LOCK_EX, None)
            # Between mkdir and lock, `remove_abandoned` of another process may have removed it as abandoned.
            if os.fstat(descriptor).st_nlink and directory.exists():
                yield directory
                return
        finally:
            shutil.rmtree(directory, ignore_errors=True)
            os.close(descriptor)


def remove_abandoned(parent: Path, prefix: str = "") -> None:
    """Remove the staging directories below `parent` of ended processes. Those of running processes stay."""
    for entry in os.scandir(parent):
        if not (entry.name.startswith(prefix) and entry.name.endswith(SUFFIX)):
            continue
        try:
            descriptor = os.open(entry.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if try_lock(descriptor, fcntl.LOCK_EX):
                shutil.rmtree(entry.path, ignore_errors=True)
        finally:
            os.close(descriptor)
