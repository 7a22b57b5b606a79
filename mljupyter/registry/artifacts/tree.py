"""Walk a directory before it is stored: its files, the targets of symbolic links, and ignored paths."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mljupyter.registry.errors import ArtifactError, ArtifactPathNotFoundError

MOST_FILES = 1_000_000


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """A file, or an empty directory, below the root of a tree. `relative` uses ``/``; `path` can be opened."""

    relative: str
    path: Path
    size: int = 0
    executable: bool = False
    is_directory: bool = False


def absolute(path: Path | str) -> Path:
    """Return an absolute path with the last name as given: a link keeps its name, ``.`` gets its directory's."""
    full = Path(path).absolute()
    return full.resolve() if full.name in ("", "..") else full


def walk(root: Path, ignore: Callable[[str], bool] | None = None) -> Iterator[TreeEntry]:
    """Yield the files and empty directories below `root`, in an order that depends only on their names.

    `ignore` gets each relative path, with ``/`` at the end for a directory, and returns True to leave it out with all
    below. Symbolic links are followed while they stay below `root`. Raises `ArtifactError` for a link that leads out or
    in a circle, for anything that is neither file nor directory, and for unreadable content.
    """
    real_root = os.path.realpath(root)
    count = 0
    pending: list[tuple[str, tuple[str, ...]]] = [("", (real_root,))]
    while pending:
        prefix, ancestors = pending.pop()
        names = _names(root, prefix)
        if not names and prefix:
            yield TreeEntry(prefix[:-1], root / prefix, is_directory=True)
        below: list[tuple[str, tuple[str, ...]]] = []
        for name in names:
            path = root / prefix / name
            real = os.path.realpath(path) if path.is_symlink() else str(Path(ancestors[-1], name))
            entry = _look(path, prefix + name, real, real_root)
            if entry.is_directory:
                if ignore is not None and ignore(entry.relative + "/"):
                    continue
                if real in ancestors:
                    raise ArtifactError(f"{path} is a symbolic link that leads back to {real}: remove it.")
                below.append((entry.relative + "/", (*ancestors, real)))
            elif ignore is None or not _ignored(entry, ignore):
                if entry.size < 0:
                    raise _unusable(path, real, real_root)
                count += 1
                if count > MOST_FILES:
                    raise ArtifactError(f"{root} holds more than {MOST_FILES:,} files: choose a smaller directory.")
                yield entry
        pending.extend(reversed(below))


def look_up(root: Path, relative: str) -> TreeEntry:
    """Return the file at `relative` below `root`, with the same rules as `walk`."""
    parts = relative.split("/")
    if relative.startswith("/") or not all(part not in ("", ".", "..") for part in parts):
        raise ArtifactError(f"{relative!r} is not a path below {root}. Rule: relative, with '/', without '..'.")
    real_root, path = os.path.realpath(root), root / relative
    real = os.path.realpath(path)
    entry = _look(path, relative, real, real_root)
    if entry.is_directory or entry.size < 0:
        raise _unusable(path, real, real_root)
    return entry


def _names(root: Path, prefix: str) -> list[str]:
    try:
        return sorted(path.name for path in (root / prefix).iterdir())
    except OSError as error:
        raise ArtifactError(f"{root / prefix} cannot be read: {error.strerror}.") from error


def _look(path: Path, relative: str, real: str, real_root: str) -> TreeEntry:
    """Return the entry at `path`. The size -1 marks an entry that must not be stored, unless it is ignored."""
    try:
        status = path.stat()
    except OSError as error:
        if path.is_symlink():
            return TreeEntry(relative, path, size=-1)
        if isinstance(error, FileNotFoundError):
            raise ArtifactPathNotFoundError(f"{path} does not exist.") from error
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error
    if not _is_inside(real, real_root):
        return TreeEntry(relative, path, size=-1)
    if stat.S_ISDIR(status.st_mode):
        return TreeEntry(relative, path, is_directory=True)
    if not stat.S_ISREG(status.st_mode):
        return TreeEntry(relative, path, size=-1)
    return TreeEntry(relative, path, status.st_size, bool(status.st_mode & stat.S_IXUSR))


def _ignored(entry: TreeEntry, ignore: Callable[[str], bool]) -> bool:
    # A pattern for directories also matches a link to a directory elsewhere.
    return ignore(entry.relative) or (entry.size < 0 and entry.path.is_dir() and ignore(entry.relative + "/"))


def _is_inside(real: str, real_root: str) -> bool:
    return real == real_root or real.startswith(real_root.rstrip("/") + "/")


def _unusable(path: Path, real: str, real_root: str) -> ArtifactError:
    if not os.path.lexists(real):
        return ArtifactError(f"{path} is a symbolic link to {real}, which does not exist: remove it.")
    if not _is_inside(real, real_root):
        return ArtifactError(
            f"{path} is a symbolic link to {real}, outside of {real_root}.\n"
            "Rule: links stay inside the directory that is stored. Replace it by a copy, or leave it out."
        )
    if Path(real).is_dir():
        return ArtifactError(f"{path} is a directory; a file is expected.")
    return ArtifactError(f"{path} is not a regular file (a socket, pipe, device or circular link): leave it out.")
