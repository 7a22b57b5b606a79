"""Atomic writes of secret files, which are created with mode 0600."""

from __future__ import annotations

from pathlib import Path

from mljupyter.client.errors import StorageError
from mljupyter.files import write_whole


def write_private(path: Path, text: str) -> None:
    """Put a file in place with mode 0600. A concurrent reader sees the old one or the new one.

    Raises:
        StorageError: when no space is left, or the directory cannot be written.

    """
    try:
        write_whole(path, text, durable=True)
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}.") from None
