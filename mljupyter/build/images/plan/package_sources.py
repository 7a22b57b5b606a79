"""Sources of packages for an image: files and directories of this machine, and git repositories, fetched here.

A build has neither this machine's files nor, in most base images, git. So each source is placed where the installer of
the image finds it, and the lines for pip name that place.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from mljupyter.build.environments.local_files import moved
from mljupyter.build.environments.pip_lines import Source, copied, expanded, line_source, pip_line
from mljupyter.build.environments.resolver import secret_values
from mljupyter.build.environments.uv import Uv
from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.plan.base_context import check_out
from mljupyter.build.images.plan.packages import PackageSet

if TYPE_CHECKING:
    from mljupyter.build.images.plan.store import Store


@dataclass(frozen=True)
class Placed:
    """The lines for the installer of an image, and whether any of them names a place in the given directory."""

    lines: tuple[str, ...]
    has_files: bool


def placed(packages: PackageSet, store: Store, directory: Path, prefix: str, log: BuildLog) -> Placed:
    """Place the sources of packages in a directory, and return the lines that name them there.

    Parameters:
        packages: the packages. Their files are in the store.
        store: the artifact store.
        directory: the directory; it is created if there are sources.
        prefix: the directory's path for the installer.
        log: gets the output of git and of builds. The values of the lines' variables are hidden in it.

    Raises:
        ImageError: a repository cannot be fetched; git is not installed.
        RequirementError: an environment variable is not set.
        EnvironmentBuildError: a source archive cannot be made from a repository.

    """
    lines = [copied(line) for line in packages.lines()]
    log.hide(secret_values(lines))
    lines = [expanded(line, os.environ) for line in lines]
    places: dict[Path, str] = {}
    for number, file in enumerate(packages.files):
        log.raise_if_cancelled()
        inside = f"{number}/{file.path.name or 'package'}"
        store.fetch(file.digest, directory / inside, writable=True)
        places[file.path] = f"{prefix}/{inside}"
    lines = [moved(line, places) for line in lines]
    for number, line in enumerate(lines):
        source = line_source(line)
        if source is not None and source.place.startswith("git+"):
            archive = _archive(source, directory / f"git-{number}", log)
            lines[number] = _with_place(line, source, f"{prefix}/{archive.relative_to(directory).as_posix()}")
    return Placed(tuple(lines), has_files=directory.is_dir())


def as_wheels(lines: tuple[str, ...], directory: Path, uv: Uv, python: str) -> tuple[str, ...]:
    """Build the packages whose lines name a source archive or a directory, and return the lines that name the wheels.

    Parameters:
        lines: the lines for pip, with paths of this machine.
        directory: the directory for the wheels.
        uv: runs uv.
        python: an interpreter of this machine.

    Raises:
        EnvironmentBuildError: a package cannot be built.
        ImageError: a wheel is only for this machine's platform.

    """
    found = list(lines)
    for number, line in enumerate(lines):
        source = line_source(line)
        if source is None or not source.is_path or source.is_wheel:
            continue
        target = directory / f"wheel-{number}"
        folder = _folder_in(source)
        uv.checked("Building a package", *("build", "--wheel", "--python", python, "--out-dir", target, folder))
        wheel = next(target.glob("*.whl"))
        if not wheel.name.endswith("-none-any.whl"):
            raise ImageError(
                f"{wheel.name} is compiled for this machine: an image without a Docker engine takes it only as a wheel "
                "for the platform of the image. Give that wheel, or use a Docker engine."
            )
        found[number] = _with_place(line, source, str(wheel))
    return tuple(found)


def _folder_in(source: Source) -> str:
    folder = parse_qs(source.fragment.removeprefix("#")).get("subdirectory", [""])[0]
    return str(Path(source.place) / folder)


def _archive(source: Source, directory: Path, log: BuildLog) -> Path:
    """Return the source archive of a git repository: it has the version, which the copy of a repository has not."""
    log.line(f"fetching {log.redacted(source.place)}")
    url, _, reference = source.place.removeprefix("git+").rpartition("@")
    if not url or "/" not in url.partition("://")[2] or "://" not in url:  # the '@' is that of the user
        url, reference = source.place.removeprefix("git+"), ""
    checkout = check_out(url, reference, directory.with_name(f"{directory.name}-checkout"), log)
    folder = parse_qs(source.fragment.removeprefix("#")).get("subdirectory", [""])[0]
    directory.mkdir()
    work = directory.with_name(f"{directory.name}-work")
    work.mkdir()
    try:
        uv = Uv(work, log.line, log.cancel)
        uv.checked("Packing a repository", "build", "--sdist", "--out-dir", directory, checkout / folder)
    finally:
        for one in (checkout, work):
            shutil.rmtree(one, ignore_errors=True)
    (directory / ".gitignore").unlink(missing_ok=True)  # uv leaves it there
    return next(directory.glob("*.tar.gz"))


def _with_place(line: str, source: Source, place: str) -> str:
    parsed = pip_line(line)
    moved_source = replace(source, place=place, is_path=True, fragment="")
    return replace(parsed, requirement=moved_source.text()).texts()[0]
