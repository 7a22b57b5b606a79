"""The errors of the workspace database, the artifact store and the model registry."""

from __future__ import annotations

import errno
from pathlib import Path

from mljupyter.errors import MLJupyterError

# EFBIG is the file size limit of the process or the file system: for the user the same as a full disk.
FULL_DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class StorageFullError(MLJupyterError):
    """The disk, the quota or the database has no space left. Nothing was stored.

    `path` is the full place, `needed` the size of the content in bytes (None: unknown).
    """

    def __init__(self, message: str, path: str, needed: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.needed = needed


class DatabaseError(MLJupyterError):
    """The database cannot be used: missing, damaged, read-only, busy, not reachable or written by a newer release."""


class ArtifactError(MLJupyterError):
    """Content cannot be stored or fetched. The text names the path and the reason."""


class ArtifactNotFoundError(ArtifactError):
    """The artifact store has no content with a digest."""


class ArtifactPathNotFoundError(ArtifactError, FileNotFoundError):
    """A file or directory to be stored does not exist."""


class TargetExistsError(ArtifactError, FileExistsError):
    """The target path of content exists already."""


class ModelError(MLJupyterError):
    """A model is registered, listed or changed with an invalid value."""


class ModelPathNotFoundError(ModelError, FileNotFoundError):
    """The file or directory of a model, or one of its child paths, does not exist."""


class ModelNotFoundError(ModelError):
    """No registered model has a name, version or id. The text starts with ``ModelNotFound:``."""


class ModelInUseError(ModelError):
    """A model cannot be deleted while something uses it. `holders` names the users."""

    def __init__(self, message: str, holders: list[str]) -> None:
        super().__init__(message)
        self.holders = holders


class ImageNotFoundError(MLJupyterError):
    """No image has a name, version or id. The text starts with ``ImageNotFound:``."""


class ImageInUseError(MLJupyterError):
    """An image cannot be deleted while something uses it. `holders` names the users."""

    def __init__(self, message: str, holders: list[str]) -> None:
        super().__init__(message)
        self.holders = holders


class ImageStateError(MLJupyterError):
    """The state of an image cannot change any more: it is ready or failed."""


def storage_full(place: Path | str, needed: int | None, what: str, reason: str) -> StorageFullError:
    """Return the error for `what` that does not fit into `place`."""
    size = f"{needed:,} bytes" if needed is not None else "its size is unknown"
    return StorageFullError(
        f"No space left in {place} for {what} ({size}): {reason}.\n"
        "Nothing was stored. Free space there, or keep the workspace on a larger disk.",
        str(place),
        needed,
    )
