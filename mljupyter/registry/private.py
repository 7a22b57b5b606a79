"""Directories that nobody but their owner may enter."""

from __future__ import annotations

from pathlib import Path


def make_private_directory(directory: Path) -> None:
    """Make a directory and its missing parents, all with mode 0700; existing ones stay as they are."""
    for missing in reversed([path for path in (directory, *directory.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
