"""Files that hold secrets: readable by their owner alone from the first byte, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from mljupyter.controller.errors import StorageError


def write_private(path: Path, text: str) -> None:
    """Put a file in place with mode 0600; whoever reads meanwhile sees the old one or the new one.

    Raises:
        StorageError: when there is no room, or the directory cannot be written.

    """
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600 by its own rule
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(f"{str(path)!r} cannot be written: {error.strerror}.") from None
