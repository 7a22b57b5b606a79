"""Snapshots of a source directory: its files without the ignored ones, within limits, in the artifact store.

(Azure ML v1: snapshot rules.)
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Callable, Collection
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.errors import MLJupyterError
from mljupyter.registry.artifacts.tree import TreeEntry, absolute, walk

if TYPE_CHECKING:
    from mljupyter.registry.artifacts.store import Artifact, ArtifactStore

ALWAYS_IGNORED = frozenset({".git", ".azureml", ".ipynb_checkpoints", "__pycache__"})
IGNORE_FILES = (".amlignore", ".gitignore")
MOST_BYTES = 300 * 1024 * 1024
MOST_FILES = 2000
NO_FILE_LIMIT = "AML_SNAPSHOT_NO_FILE_LIMIT"
MOST_IGNORE_BYTES = 1 << 20
# Enough to name the largest files of a home directory that was given by mistake, without reading all of it.
_MOST_LOOKED_AT = 50_000


class SnapshotError(MLJupyterError):
    """A source directory cannot become a snapshot: it is missing, too large or has too many files."""


class SourceNotFoundError(SnapshotError, FileNotFoundError):
    """The source directory or the script does not exist."""


def snapshot(source_directory: Path, store: ArtifactStore, *, without: Collection[str] = ()) -> Artifact:
    """Store a source directory as a directory artifact with the name of the directory.

    ``.amlignore`` at its root lists files to leave out, in the syntax of ``.gitignore``. Without it, ``.gitignore`` is
    used. Ignore files in subdirectories are not read. Never included are ``.git``, ``.azureml``, ``.ipynb_checkpoints``
    and ``__pycache__``, and the names at the root in `without`, with ``/`` at the end of a directory. The limits are
    300 MB and 2000 files; the environment variable AML_SNAPSHOT_NO_FILE_LIMIT lifts the limit of files.

    Raises `SnapshotError` beyond the limits, `SourceNotFoundError` for a missing directory, `ArtifactError` for
    content that cannot be stored, such as a link that leads out of the directory.
    """
    root = absolute(source_directory)
    if not root.is_dir():
        raise SourceNotFoundError(f"The source directory {root} does not exist or is a file.")
    ignored = _ignore_rule(root)
    entries = walk(root, lambda relative: relative in without or ignored(relative))
    lifted = os.environ.get(NO_FILE_LIMIT, "").strip().lower() not in ("", "0", "false", "no")
    files = [entry for entry in (entries if lifted else islice(entries, _MOST_LOOKED_AT)) if not entry.is_directory]
    _check_limits(root, files, MOST_FILES if not lifted else None)
    return store.put_files(root, [entry.relative for entry in files])


def single_file(path: Path, store: ArtifactStore) -> Artifact:
    """Store a scoring script without source directory as a file artifact. Raises the same errors as `snapshot`."""
    script = absolute(path)
    if not script.is_file():
        raise SourceNotFoundError(f"The script {script} does not exist or is not a file.")
    _check_limits(script.parent, [TreeEntry(script.name, script, script.stat().st_size)], None)
    return store.put(script)


def _ignore_rule(root: Path) -> Callable[[str], bool]:
    lines = _ignore_file_lines(root)
    if not lines:
        return lambda relative: _name(relative) in ALWAYS_IGNORED
    from pathspec import GitIgnoreSpec

    # The walk checks every directory before its content, as git does. With "/" at the end of a path, pathspec would
    # rank patterns in another order than git. A check without it needs patterns without it, too.
    for_files = GitIgnoreSpec.from_lines(lines)
    for_directories = GitIgnoreSpec.from_lines([line.removesuffix("/") for line in lines])

    def ignored(relative: str) -> bool:
        rules = for_directories if relative.endswith("/") else for_files
        return _name(relative) in ALWAYS_IGNORED or bool(rules.check_file(relative.rstrip("/")).include)

    return ignored


def _name(relative: str) -> str:
    return relative.rstrip("/").rpartition("/")[2]


def _ignore_file_lines(root: Path) -> list[str]:
    """Return the patterns of the ignore file in effect, none without one."""
    path = next((root / name for name in IGNORE_FILES if (root / name).is_file()), None)
    if path is None:
        return []
    try:
        with path.open("rb") as file:
            content = file.read(MOST_IGNORE_BYTES + 1)
    except OSError as error:
        raise SnapshotError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > MOST_IGNORE_BYTES:
        raise SnapshotError(f"{path} is larger than {MOST_IGNORE_BYTES:,} bytes: shorten it.")
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lines = [_as_git_reads(line.removesuffix("\r")) for line in text.split("\n")]
    return [line for line in lines if _is_pattern(line)]


def _as_git_reads(line: str) -> str:
    """Return a line in an equivalent form that pathspec and git understand in the same way."""
    bare = line.rstrip(" ")
    if bare.endswith("\\"):
        return line
    return f"{bare[:-1]}/*/" if bare.endswith("/**/") else bare


def _is_pattern(line: str) -> bool:
    """Return whether a line is a valid pattern. Git ignores invalid ones."""
    from pathspec import GitIgnoreSpec

    try:
        return bool(line) and bool(GitIgnoreSpec.from_lines([line, line.removesuffix("/")]).patterns)
    except (ValueError, re.error):
        return False


def _check_limits(root: Path, files: list[TreeEntry], most_files: int | None) -> None:
    size = sum(entry.size for entry in files)
    too_many = most_files is not None and len(files) > most_files
    if not too_many and size <= MOST_BYTES:
        return
    largest = heapq.nlargest(5, files, key=lambda entry: entry.size)
    named = ", ".join(f"{entry.relative} ({_megabytes(entry.size)})" for entry in largest)
    ignore_file = next((name for name in IGNORE_FILES if (root / name).is_file()), IGNORE_FILES[0])
    more = "more than " if len(files) >= _MOST_LOOKED_AT else ""
    lines = [
        f"The source directory {root} is too large: {more}{len(files):,} files, {_megabytes(size)}.",
        f"Rule: at most {MOST_FILES:,} files and {_megabytes(MOST_BYTES)}.",
        f"The largest: {named}.",
        f"List the files that the scoring script does not need in {root / ignore_file} (the syntax of .gitignore).",
    ]
    if too_many:
        lines.append(f"Or set the environment variable {NO_FILE_LIMIT}=True to lift the number of files.")
    raise SnapshotError("\n".join(lines))


def _megabytes(size: int) -> str:
    return f"{size / (1024 * 1024):,.1f} MB"
