"""A base image made of an environment's own build context: a directory of the artifact store, or a git repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

from mljupyter.build.definition import BuildContextDefinition, redacted
from mljupyter.build.images.context import Store
from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.events import BuildLog

GIT = "git"
_PATIENCE_SECONDS = 600


def fetch_base_context(context: BuildContextDefinition, store: Store, directory: Path, log: BuildLog) -> Path:
    """Place a build context in a directory that does not exist yet; return the directory that Docker is to be given.

    Parameters:
        context: where it is: a digest in the store, or ``URL[#REFERENCE[:FOLDER]]`` as ``docker build`` has it.
        store: the artifact store.
        directory: where to.
        log: gets the output of git.

    Raises:
        ImageError: when there is no such repository, reference, folder or Dockerfile.

    """
    location = context.location or ""
    place = _cloned(location, directory, log) if context.location_type == GIT else store.fetch(location, directory)
    path = PurePosixPath(context.dockerfile_path)
    if path.is_absolute() or ".." in path.parts or not (place / path).is_file():
        raise ImageError(f"There is no {context.dockerfile_path} in the build context {redacted(location)}.")
    return place


def _cloned(location: str, directory: Path, log: BuildLog) -> Path:
    url, _, rest = location.partition("#")
    reference, _, folder = rest.partition(":")
    if not url or url.startswith("-") or reference.startswith("-") or ".." in PurePosixPath(folder).parts:
        raise ImageError(f"{redacted(location)!r} is no git repository. Rule: URL, or URL#BRANCH:FOLDER.")
    git = shutil.which("git")
    if git is None:
        raise ImageError("The environment's build context is a git repository, and git is not installed.")
    directory.mkdir(mode=0o700)
    steps = [
        ("init", "--quiet"),
        ("fetch", "--quiet", "--depth", "1", "--", url, reference or "HEAD"),
        ("-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD"),
    ]
    for step in steps:
        log.raise_if_cancelled()
        finished = subprocess.run(
            [git, *step],
            cwd=directory,
            env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        if finished.returncode:
            for line in finished.stderr.splitlines():
                log.line(redacted(line))
            raise ImageError(f"The git repository {redacted(location)} cannot be fetched.")
    shutil.rmtree(directory / ".git")
    place = directory / folder.strip("/") if folder else directory
    if not place.resolve().is_relative_to(directory.resolve()) or not place.is_dir():
        raise ImageError(f"There is no folder {folder!r} in the git repository {redacted(url)}.")
    return place
