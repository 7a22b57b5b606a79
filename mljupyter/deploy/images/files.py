"""Files of an image in the workspace: the log of its build, and its Dockerfile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mljupyter.build.images import BuildEvent, stored_text
from mljupyter.files import write_whole
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.workspace.context import WorkspaceContext
from mljupyter.workspace_folders import make_folder

_FOLDER = "images"


def directory_of(context: WorkspaceContext, record: ImageRecord) -> Path:
    """Return the directory of an image's files."""
    return context.directory / _FOLDER / record.name / str(record.version)


def dockerfile_of(context: WorkspaceContext, record: ImageRecord) -> Path | None:
    """Return the file with the Dockerfile of an image; None if there is none."""
    if record.dockerfile_digest is None:
        return None
    path = directory_of(context, record) / "Dockerfile"
    _write_stored(context, record.dockerfile_digest, path)
    return path


def remove(context: WorkspaceContext, record: ImageRecord) -> None:
    """Remove the files of an image."""
    import shutil

    shutil.rmtree(directory_of(context, record), ignore_errors=True)
    with contextlib.suppress(OSError):  # another version also has files
        directory_of(context, record).parent.rmdir()


class BuildLogFile:
    """The log of a build, which grows during the build. It has the file modes of the workspace.

    Parameters:
        path: of the file.
        workspace: the directory of the workspace.

    """

    def __init__(self, path: Path, workspace: Path) -> None:
        self.path = path
        self._workspace = workspace
        self._file: IO[str] | None = None

    @classmethod
    def of(cls, context: WorkspaceContext, record: ImageRecord) -> BuildLogFile:
        """Return the log of an image. The log of a reused image is that of its original build."""
        log = cls(directory_of(context, record) / "build.log", context.directory)
        if record.log_digest is not None and not log.path.exists():
            _write_stored(context, record.log_digest, log.path)
        return log

    def begin(self) -> None:
        """Open the log for writing."""
        make_folder(self._workspace, *self.path.parent.relative_to(self._workspace).parts)
        self.path.touch(mode=0o600)
        self._file = self.path.open("w", encoding="utf-8", buffering=1)

    def write(self, event: BuildEvent) -> None:
        """Write an event; an error of writing does not end the build."""
        with contextlib.suppress(OSError, ValueError):
            if self._file is not None:
                self._file.write(f"{_line(event)}\n")

    def close(self) -> None:
        """End writing."""
        with contextlib.suppress(OSError):
            if self._file is not None:
                self._file.close()

    def read(self) -> str:
        """Return the present content."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def follow(self) -> Iterator[str]:
        """Yield each new line, or an empty text if there is none; the generator never ends by itself."""
        position, rest = 0, b""
        while True:
            new = b""
            with contextlib.suppress(FileNotFoundError), self.path.open("rb") as file:
                file.seek(position)
                new = file.read()
            position += len(new)
            *lines, rest = (rest + new).split(b"\n")
            yield from (line.decode(errors="replace") for line in lines)
            yield ""


def _line(event: BuildEvent) -> str:
    if event.state is None:
        return event.text
    if event.seconds is None:
        return f"--- {event.stage}"
    return f"--- {event.stage}: {event.state} after {event.seconds:.1f} s"


def _write_stored(context: WorkspaceContext, digest: str, path: Path) -> None:
    text = stored_text(context.registry, digest)
    make_folder(context.directory, *path.parent.relative_to(context.directory).parts)
    write_whole(path, text)
