"""The errors of the registry of images."""

from __future__ import annotations

from mljupyter.errors import MLJupyterError


class ImageNotFoundError(MLJupyterError):
    """No image answers to a name, version or id. The text starts with ``ImageNotFound:``."""


class ImageInUseError(MLJupyterError):
    """An image cannot be deleted while something uses it. `holders` names the users."""

    def __init__(self, message: str, holders: list[str]) -> None:
        super().__init__(message)
        self.holders = holders


class ImageStateError(MLJupyterError):
    """An image is changed that is ready or failed already."""
