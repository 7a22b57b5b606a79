"""Kept results: the parts that an interrupted batch has finished, in a file of the workspace, found by content."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import IO, Any

from mljupyter.workspace_folders import make_folder

_DAYS = 7
_SPLIT = "split"


def key_of(body: bytes) -> str:
    """Return the key of a part: the fingerprint of its request."""
    return hashlib.sha256(body).hexdigest()[:40]


class KeptResults:
    """Results by part, kept until the batch is complete.

    The name of the file has a fingerprint of the endpoint's code and models, so a changed endpoint starts anew. A line
    that is damaged is as if the part was not sent.

    Parameters:
        directory: the directory of such files; it is created. Files of more than a week are deleted.
        endpoint: the name of the endpoint.
        state: what the results depend on, as JSON values.
        restart: forget what was kept.

    """

    def __init__(self, directory: Path, endpoint: str, state: Any, *, restart: bool = False) -> None:
        fingerprint = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:16]
        make_folder(directory.parent, directory.name)
        _forget_old(directory)
        self._path = directory / f"{endpoint}-{fingerprint}.jsonl"
        if restart:
            self._path.unlink(missing_ok=True)
        self._known = _read(self._path)
        self._file: IO[str] | None = None

    def results(self, key: str) -> list[Any] | None:
        """Return the results of a part; None if it is not kept."""
        found = self._known.get(key)
        return found if isinstance(found, list) else None

    def was_split(self, key: str) -> bool:
        """Return whether a part was sent in two halves."""
        return self._known.get(key) == _SPLIT

    def keep(self, key: str, results: list[Any] | None) -> None:
        """Keep the results of a part; None if it was split."""
        if self._file is None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = os.fdopen(descriptor, "a", encoding="utf-8")
            self._file.write("\n")  # ends a line that an interrupt has cut off
        self._file.write(json.dumps([key, _SPLIT if results is None else results]) + "\n")
        self._file.flush()

    def close(self, *, complete: bool) -> None:
        """Close the file, and delete it if the batch is complete."""
        if self._file is not None:
            self._file.close()
        if complete:
            self._path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    key, results = json.loads(line)
                except (ValueError, TypeError):
                    continue
                known[str(key)] = results
    return known


def _forget_old(directory: Path) -> None:
    for path in directory.glob("*.jsonl"):
        try:
            if time.time() - path.stat().st_mtime > _DAYS * 86_400:
                path.unlink()
        except OSError:
            continue  # another batch has just deleted it
