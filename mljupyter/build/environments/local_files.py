"""Files and directories of this machine that lines for pip name: paths, contents and digests."""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from mljupyter import files
from mljupyter.build.environments.pip_lines import (
    PipLine,
    RequirementError,
    decoded,
    expanded,
    logical_lines,
    pip_line,
    source_of,
)
from mljupyter.build.environments.redaction import redacted
from mljupyter.build.project.snapshot import ALWAYS_IGNORED
from mljupyter.registry.artifacts import manifest
from mljupyter.registry.artifacts.tree import walk

if TYPE_CHECKING:
    from mljupyter.registry.artifacts.store import ArtifactStore

_LARGEST_LIST_BYTES = 1 << 20
# Directories that builds and tools leave in the directory of a package. Its packages are built again.
_LEFT_BY_TOOLS = frozenset({".venv", ".tox", ".nox", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hg"})
_AT_ROOT = frozenset({"build/", "dist/"})


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file or directory of this machine that an environment needs.

    Parameters:
        path: its absolute path.
        digest: the digest of its content in an artifact store.
        is_constraints: whether it is a list of constraints. Then its content includes that of the files it refers to.

    """

    path: Path
    digest: str
    is_constraints: bool = False


def lines_of_file(file: Path, *, above: tuple[Path, ...] = ()) -> list[str]:
    """Return the lines of a requirements file, with the lines of included files in place of ``-r`` lines.

    Parameters:
        file: the file.
        above: the files that include it.

    Raises:
        RequirementError: a file cannot be read, includes itself, or has a line that pip does not know.

    """
    file = file.absolute()
    if file in above:
        raise RequirementError(f"The requirements file {str(file)!r} refers to itself.")
    lines = logical_lines(read_list(file, "requirements file"))
    return absolute_lines(lines, file.parent, above=(*above, file))


def absolute_lines(lines: Iterable[str], directory: Path, *, above: tuple[Path, ...] = ()) -> list[str]:
    """Return lines for pip in one form, with absolute paths and the lines of included files in place of ``-r`` lines.

    A relative path is that of `directory`, or that of the working directory if it exists only there.

    Parameters:
        lines: lines without comments.
        directory: the directory of the file that has the lines.
        above: this file, and those that include it.

    Raises:
        RequirementError: as `lines_of_file`.

    """
    found: list[str] = []
    for line in lines:
        parsed = pip_line(line)
        if parsed.requirement:
            found += _absolute_requirement(parsed, directory).texts()
            continue
        for name, value in parsed.options:
            if name == "--requirement" and value and (path := _path_of(value)) is not None:
                found += lines_of_file(_existing(expanded(path, os.environ), directory), above=above)
            elif name in ("--constraint", "--find-links", "--index-url", "--extra-index-url") and value:
                found += PipLine(options=((name, _absolute_value(value, directory)),)).texts()
            else:
                found += PipLine(options=((name, value),)).texts()
    return found


def local_files(lines: Iterable[str]) -> tuple[LocalFile, ...]:
    """Return the files and directories that lines name by absolute paths, in the order of paths.

    A file that does not exist is left out: the installer reports it.
    """
    paths = dict(found for line in lines for found in paths_in(line))
    return tuple(
        LocalFile(path, digest, is_constraints)
        for path, is_constraints in sorted(paths.items())
        if (digest := _digest(path, is_constraints=is_constraints)) is not None
    )


def store_file(file: LocalFile, store: ArtifactStore) -> None:
    """Put a file or directory into the artifact store.

    Raises:
        RequirementError: it is gone, or its content is not that of the digest any more.

    """
    if store.exists(file.digest):
        return
    if file.path.is_dir():
        stored = store.put(file.path, ignore=_ignored(file.path)).digest
    elif not file.path.exists():
        raise RequirementError(f"{file.path}, which the environment installs, is not there any more.")
    elif file.is_constraints:
        with tempfile.TemporaryDirectory(prefix="mljupyter-constraints-") as directory:
            flat = Path(directory) / file.path.name
            flat.write_text(constraints(file.path), encoding="utf-8")
            stored = store.put(flat).digest
    else:
        stored = store.put(file.path).digest
    if stored != file.digest:
        raise RequirementError(f"{file.path}, which the environment installs, has just changed. Try it again.")


def moved(line: str, places: dict[Path, str]) -> str:
    """Return a line with other paths.

    Parameters:
        line: the line.
        places: the new path for each path. Paths that are not in it stay.

    """
    parsed = pip_line(line)
    if parsed.requirement:
        source = source_of(parsed.requirement)
        place = places.get(Path(source.place)) if source is not None and source.is_path else None
        if source is None or place is None:
            return line
        return replace(parsed, requirement=replace(source, place=place).text()).texts()[0]
    options = []
    for name, value in parsed.options:
        path = _path_of(value) if value and name in ("--constraint", "--find-links") else None
        options.append((name, places.get(Path(path), value) if path is not None else value))
    return " ".join(PipLine(options=tuple(options)).texts())


def constraints(file: Path, *, above: tuple[Path, ...] = ()) -> str:
    """Return the text of a constraints file, with the lines of the files that it includes.

    Raises:
        RequirementError: as `lines_of_file`.

    """
    lines: list[str] = []
    for line in lines_of_file(file, above=above):
        nested = [value for name, value in pip_line(line).options if name == "--constraint" and value]
        path = _path_of(nested[0]) if nested else None
        if path is None:
            lines.append(line)
        elif Path(path) in (*above, file.absolute()):
            raise RequirementError(f"The constraints file {path!r} refers to itself.")
        else:
            lines += constraints(Path(path), above=(*above, file.absolute())).splitlines()
    return "".join(f"{line}\n" for line in lines)


def _absolute_requirement(parsed: PipLine, directory: Path) -> PipLine:
    source = source_of(parsed.requirement)
    if source is None or not source.is_path:
        return parsed
    place = str(_existing(expanded(source.place, os.environ), directory))
    return replace(parsed, requirement=replace(source, place=place).text())


def _absolute_value(value: str, directory: Path) -> str:
    """Return the value of an option with an absolute path; a URL as it is."""
    path = _path_of(value)
    if path is None or value.startswith("${"):  # a URL may begin with a variable
        return value
    full = str(_existing(expanded(path, os.environ), directory))
    return f"file://{quote(full)}" if value.lower().startswith("file:") or quote(full) != full else full


def _path_of(value: str) -> str | None:
    """Return the path of an option's value; None for a URL of another machine."""
    if value.lower().startswith("file:"):
        path = value[len("file:") :].partition("#")[0]
        return unquote(path[2:].removeprefix("localhost") if path.startswith("//") else path)
    return None if len(urlsplit(value).scheme) > 1 else value


def _existing(path: str, directory: Path) -> Path:
    """Return an absolute path: in the directory, or in the working directory if it exists only there."""
    given = files.expanded(path)
    if given.is_absolute():
        return Path(os.path.normpath(given))
    places = [Path(os.path.normpath(base / given)) for base in (directory.absolute(), Path.cwd())]
    return next((place for place in places if place.exists()), places[0])


def paths_in(line: str) -> list[tuple[Path, bool]]:
    """Return the absolute paths in a line, and whether each is a list of constraints."""
    try:
        parsed = pip_line(line)
    except RequirementError:  # the build reports it
        return []
    source = source_of(parsed.requirement) if parsed.requirement else None
    found = [(source.place, False)] if source is not None and source.is_path else []
    for name, value in parsed.options:
        path = _path_of(value) if value and name in ("--constraint", "--find-links") else None
        found += [(path, name == "--constraint")] if path is not None else []
    return [(Path(path), is_constraints) for path, is_constraints in found if Path(path).is_absolute()]


def _digest(path: Path, *, is_constraints: bool) -> str | None:
    """Return the digest that an artifact store has for a file or directory; None if it does not exist."""
    if path.is_dir():
        entries = []
        for entry in walk(path, _ignored(path)):
            content = None if entry.is_directory else _file_digest(entry.path, entry.path.stat().st_mtime_ns)
            entries.append(manifest.ManifestEntry(entry.relative, content, entry.size, entry.executable))
        return f"sha256:{hashlib.sha256(manifest.encode(entries)).hexdigest()}"
    if not path.is_file():
        return None
    if is_constraints:
        return f"sha256:{hashlib.sha256(constraints(path).encode()).hexdigest()}"
    return _file_digest(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _file_digest(path: Path, _: int) -> str:
    """Return the digest of a file's content, read once for each time of its last change."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _ignored(root: Path) -> Callable[[str], bool]:
    """Return the rule for paths in a directory that do not belong to its package: version control and leftovers."""

    def ignored(relative: str) -> bool:
        name = relative.rstrip("/").rpartition("/")[2]
        if name in _LEFT_BY_TOOLS or name in ALWAYS_IGNORED or name.endswith(".egg-info") or relative in _AT_ROOT:
            return True
        return relative.endswith("/") and (root / relative / "pyvenv.cfg").is_file()

    return ignored


def read_list(file: Path, what: str) -> str:
    """Return the text of a file that lists packages.

    Parameters:
        file: the file.
        what: its kind, for messages.

    Raises:
        RequirementError: the file is missing, too large or not text.

    """
    try:
        if file.stat().st_size > _LARGEST_LIST_BYTES:
            raise RequirementError(f"The {what} {str(file)!r} is larger than {_LARGEST_LIST_BYTES:,} bytes.")
        return decoded(file.read_bytes())
    except UnicodeDecodeError:
        raise RequirementError(f"The {what} {str(file)!r} is not UTF-8 text.") from None
    except OSError as error:
        raise RequirementError(f"The {what} {redacted(str(file))!r} cannot be read: {error.strerror}.") from None
