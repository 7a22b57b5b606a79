"""The errors of planning, building, moving and scanning images."""

from __future__ import annotations

from pathlib import Path

from mljupyter.build.failures import BuildCancelledError, placed_in
from mljupyter.errors import MLJupyterError

__all__ = [
    "BuildCancelledError",
    "BuildFailedError",
    "BuilderUnavailableError",
    "ImageError",
    "RegistryCredentialsError",
    "RegistryError",
    "RegistryNotFoundError",
]


class ImageError(MLJupyterError):
    """An image cannot be planned, built, moved or scanned. The text names the value, the rule and the remedy."""


class BuilderUnavailableError(ImageError):
    """No builder for a target can be used here. The text has the reason for each of them."""


class RegistryError(ImageError):
    """A container registry refused a request or did not answer."""


class RegistryCredentialsError(RegistryError):
    """A container registry refused the credentials, or requires some."""


class RegistryNotFoundError(RegistryError):
    """A container registry does not have an image or a layer."""


class BuildFailedError(ImageError):
    """A build failed. `step` is the step that failed, `last_lines` the end of the log, `hint` a remedy or None."""

    def __init__(self, step: str, reason: str, last_lines: list[str], hint: str | None) -> None:
        lines = [f"The image build failed at the step {step!r}: {reason}"]
        if hint:
            lines.append(hint)
        if last_lines:
            lines += [f"The last {len(last_lines)} lines of the log:", *last_lines]
        super().__init__("\n".join(lines))
        self.step = step
        self.reason = reason
        self.last_lines = last_lines
        self.hint = hint

    def in_file(self, file: Path) -> BuildFailedError:
        """Return the same error; a requirement that does not exist is told with its line in the file."""
        return BuildFailedError(self.step, placed_in(self.reason, file), self.last_lines, self.hint)
