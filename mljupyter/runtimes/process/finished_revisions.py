"""Find and remove files of ended replicas that are not needed any more: app roots, records and logs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mljupyter.runtimes.process import processes
from mljupyter.runtimes.process.runtime import read_record


@dataclass(frozen=True)
class RevisionName:
    """A revision of a version of an endpoint. Its text is the name of its app root."""

    endpoint: str
    version: str
    revision: str

    def __str__(self) -> str:
        return f"{self.endpoint}.{self.version}.{self.revision}"


def finished_revisions(
    replicas: Path, revisions: Path, *, needed: Iterable[RevisionName], keep_seconds: float
) -> list[Path]:
    """Return the directories of replicas and revisions that no endpoint needs and no process uses.

    Logs of existing endpoints are not among them, since the runtime of the endpoint removes those.

    Parameters:
        replicas, revisions: the directories of a workspace.
        needed: the revisions that endpoints should run, and those that serve until the newer ones can.
        keep_seconds: the age in seconds below which a directory is not returned.

    """
    names = list(needed)
    endpoints = {name.endpoint for name in names}
    found, kept = [], {str(name) for name in names}
    for directory in _old(replicas, keep_seconds):
        record = read_record(directory)
        if (record is None or record.endpoint not in endpoints) and not _has_process(directory.name):
            found.append(directory)
    for directory in _directories(replicas):
        record = read_record(directory)
        if record is not None and directory not in found:
            kept.add(f"{record.endpoint}.{record.version}.{record.revision}")
    return found + [directory for directory in _old(revisions, keep_seconds) if directory.name not in kept]


def remove(directories: Iterable[Path]) -> None:
    """Remove directories. Those that cannot be removed stay for the next call."""
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def _directories(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from sorted(path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())


def _old(parent: Path, keep_seconds: float) -> list[Path]:
    made_before = time.time() - keep_seconds
    return [path for path in _directories(parent) if path.stat().st_mtime < made_before]


def _has_process(replica_id: str) -> bool:
    return any(True for _ in processes.find(lambda command: replica_id in command))
