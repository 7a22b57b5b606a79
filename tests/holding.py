"""Files that hold a secret, in a directory that a controller writes to meanwhile."""

from __future__ import annotations

import contextlib
from pathlib import Path


def files_holding(directory: Path, secret: bytes) -> list[Path]:
    """Return the files below a directory that hold a secret. Those that are gone when they are read are left out."""
    found = []
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and secret in path.read_bytes():
                found.append(path)
    return found
