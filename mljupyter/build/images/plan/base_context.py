"""Base image built from an environment's own build context: a stored directory or a git repository."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from mljupyter.build.environments.definition import BuildContextDefinition, redacted
from mljupyter.build.images.errors import ImageError
from mljupyter.build.images.events import BuildLog
from mljupyter.build.images.plan.store import Store

GIT = "git"
_TIMEOUT_SECONDS = 600
_SCHEMES = ("https", "http", "ssh", "git", "file")
_REFERENCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+@-]{0,250}")
_SCP_LIKE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*@[A-Za-z0-9][A-Za-z0-9.-]*:[^:\s-][^:\s]*")
_SETTINGS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "advice.detachedHead=false")
# Git sets these variables for programs that it starts, such as hooks. They would point to a repository of the user.
_OF_ANOTHER_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_WORK_TREE",
    }
)
_HELPER = '!printf "username=%s\\npassword=%s\\n" "$MLJUPYTER_GIT_USER" "$MLJUPYTER_GIT_PASSWORD" #'


def fetch_base_context(context: BuildContextDefinition, store: Store, directory: Path, log: BuildLog) -> Path:
    """Place a build context in a directory that does not exist yet. Return the directory for ``docker build``.

    Parameters:
        context: its location: a digest in the store, or ``URL[#REFERENCE[:FOLDER]]`` as for ``docker build``.
        store: the artifact store.
        directory: the new directory.
        log: gets the output of git.

    Raises:
        ImageError: when the repository, reference, folder or Dockerfile does not exist.

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
    outside = ".." in PurePosixPath(folder).parts or "\0" in folder
    if not _is_repository(url) or outside or (reference and not _REFERENCE.fullmatch(reference)):
        raise ImageError(
            f"{redacted(location)!r} is not a git repository. Rule: URL, or URL#BRANCH:FOLDER; "
            f"the URL begins with {', '.join(f'{scheme}://' for scheme in _SCHEMES)} or is USER@HOST:PATH."
        )
    directory.mkdir(mode=0o700)
    address, environment = _for_git(url)
    steps = [
        # Without the user's templates: their hooks must not run on a foreign repository.
        ("init", "--quiet", "--template="),
        (
            "fetch",
            "--quiet",
            "--depth",
            "1",
            "--no-tags",
            "--no-recurse-submodules",
            "--",
            address,
            reference or "HEAD",
        ),
        ("checkout", "--quiet", "--detach", "--no-recurse-submodules", "FETCH_HEAD"),
    ]
    for step in steps:
        _run_git(step, directory, environment, location, log)
    shutil.rmtree(directory / ".git")
    place = directory / folder.strip("/") if folder else directory
    if not place.resolve().is_relative_to(directory.resolve()) or not place.is_dir():
        raise ImageError(f"There is no folder {folder!r} in the git repository {redacted(url)}.")
    return place


def check_out(url: str, reference: str, directory: Path, log: BuildLog) -> Path:
    """Clone a git repository with its history and submodules, as pip does, and return the directory.

    Parameters:
        url: its URL, or ``USER@HOST:PATH``.
        reference: a branch, tag or commit; empty for the default branch.
        directory: the new directory.
        log: gets the output of git.

    Raises:
        ImageError: git is not installed, or there is no such repository or reference.

    """
    if not _is_repository(url) or (reference and not _REFERENCE.fullmatch(reference)):
        raise ImageError(f"{redacted(url)!r} with the reference {reference!r} is not a git repository.")
    directory.mkdir(mode=0o700, parents=True)
    address, environment = _for_git(url)
    _run_git(("clone", "--quiet", "--template=", "--no-checkout", "--", address, "."), directory, environment, url, log)
    if reference:
        _run_git(("fetch", "--quiet", "--", address, reference), directory, environment, url, log)
    at = "FETCH_HEAD" if reference else "HEAD"
    _run_git(("checkout", "--quiet", "--detach", at), directory, environment, url, log)
    if (directory / ".gitmodules").is_file():
        _run_git(("submodule", "--quiet", "update", "--init", "--recursive"), directory, environment, url, log)
    return directory


def _run_git(step: tuple[str, ...], directory: Path, environment: dict[str, str], location: str, log: BuildLog) -> None:
    """Run one command of git on a repository.

    Raises:
        ImageError: git is not installed, fails, or takes too long.

    """
    git = shutil.which("git")
    if git is None:
        raise ImageError(
            f"git is not installed, and {redacted(location)} is a git repository: install git on this machine."
        )
    log.raise_if_cancelled()
    try:
        finished = subprocess.run(
            [git, *_SETTINGS, *step],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
            start_new_session=True,  # without a terminal, ssh cannot ask there for a password
        )
    except subprocess.TimeoutExpired:
        # The text of this error would contain the command.
        raise ImageError(
            f"The git repository {redacted(location)} was not fetched within {_TIMEOUT_SECONDS} s."
        ) from None
    if finished.returncode:
        for line in finished.stderr.splitlines():
            log.line(redacted(line))
        raise ImageError(f"The git repository {redacted(location)} cannot be fetched.")


def _is_repository(url: str) -> bool:
    """Return whether git fetches from this URL itself: ``ext::`` and similar schemes would run programs."""
    if url.startswith("-") or not url.isprintable() or " " in url:
        return False
    scheme, separator, rest = url.partition("://")
    if separator:
        return scheme.lower() in _SCHEMES and bool(rest) and not rest.startswith("-")
    return _SCP_LIKE.fullmatch(url) is not None


def _for_git(url: str) -> tuple[str, dict[str, str]]:
    """Return a URL without its password, and an environment for git with it: all users can read command lines."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ANOTHER_REPOSITORY}
    environment |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": ":".join(_SCHEMES),
        "SSH_ASKPASS_REQUIRE": "never",
    }
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    who, at, host = authority.rpartition("@")
    if not at or scheme.lower() not in ("http", "https"):
        return url, environment
    user, _, password = who.partition(":")
    address = f"{scheme}://{host}{slash}{path}"
    known = int(environment.get("GIT_CONFIG_COUNT") or 0)
    settings = {
        f"credential.{scheme}://{host}.helper": _HELPER,
        f"credential.{scheme}://{host}.useHttpPath": "false",
    }
    for number, (name, value) in enumerate(settings.items(), start=known):
        environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return address, environment | {
        "GIT_CONFIG_COUNT": str(known + len(settings)),
        "MLJUPYTER_GIT_USER": unquote(user),
        "MLJUPYTER_GIT_PASSWORD": unquote(password),
    }
