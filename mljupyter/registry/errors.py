"""The errors of the workspace database, the artifact store and the model registry."""

from __future__ import annotations

import errno
from pathlib import Path

from mljupyter.errors import MLJupyterError

# EFBIG is the file size limit of the process or the file system: to the user the same as a full disk.
FULL_DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StorageFullError(MLJupyterError):
    """The disk, the quota or the database has no room left; nothing was stored.

    `path` is the place that is full, `needed` the size in bytes of what was being stored (None: unknown).
    """

    def __init__(self, message: str, path: str, needed: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.needed = needed


class DatabaseError(MLJupyterError):
    """The database cannot be used: missing, damaged, read-only, busy, out of reach or written by a newer release."""


class ArtifactError(MLJupyterError):
    """Content cannot be stored or fetched; the text names the path and the reason."""


class ArtifactNotFoundError(ArtifactError):
    """The artifact store holds nothing under a digest."""


class ArtifactPathNotFoundError(ArtifactError, FileNotFoundError):
    """A file or directory that should be stored does not exist."""


class TargetExistsError(ArtifactError, FileExistsError):
    """Something already lies where content should be placed."""


class ModelError(MLJupyterError):
    """A model is registered, listed or changed with a value against the rules."""


class ModelPathNotFoundError(ModelError, FileNotFoundError):
    """The file or directory of a model, or one of its child paths, does not exist."""


class ModelNotFoundError(ModelError):
    """No registered model answers to a name, version or id. The text starts with ``ModelNotFound:``."""


class ModelInUseError(ModelError):
    """A model cannot be deleted while something uses it. `holders` names the users."""

    def __init__(self, message: str, holders: list[str]) -> None:
        super().__init__(message)
        self.holders = holders


class ImageNotFoundError(MLJupyterError):
    """No image answers to a name, version or id. The text starts with ``ImageNotFound:``."""


class ImageInUseError(MLJupyterError):
    """An image cannot be deleted while something uses it. `holders` names the users."""

    def __init__(self, message: str, holders: list[str]) -> None:
        super().__init__(message)
        self.holders = holders


class ImageStateError(MLJupyterError):
    """An image is changed that is ready or failed already."""


def storage_full(place: Path | str, needed: int | None, what: str, reason: str) -> StorageFullError:
    """Return the error for `what` not fitting into `place`."""
    size = f"{needed:,} bytes" if needed is not None else "its size is unknown"
    return StorageFullError(
        f"No room left in {place} for {what} ({size}): {reason}.\n"
        "Nothing was stored. Free space there, or keep the workspace on a larger disk.",
        str(place),
        needed,
    )
