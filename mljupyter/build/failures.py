"""Errors of builds: the failed step, the last lines of output, and a hint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from mljupyter.errors import MLJupyterError

LAST_LINES = 20

# The first that matches counts: causes before consequences.
_CAUSES_IN_SOURCES = (
    (
        r"git executable not found|git: not found|cannot find command 'git'|No such file or directory: 'git'",
        "git is not installed, and a package is named by its git repository: install git, or give a wheel.",
    ),
    (
        (
            r"command '\S*(gcc|g\+\+|cc|c\+\+|clang)\S*' failed|unable to execute '\S*(gcc|cc|clang)|unknown compiler"
            r"|No CMAKE_C\w*_COMPILER|can't find rust compiler|(gcc|cc|g\+\+|clang|cargo|rustc): (command )?not found"
        ),
        "A package has to be compiled, which fails: is there a compiler (gcc)? Or pin a version that has wheels.",
    ),
    (
        r"setuptools[-_]scm was unable|unable to detect version|LookupError: Error getting the version from source",
        "The package takes its version from git, which is not part of a copy: build a wheel of it, and list that.",
    ),
)
_CAUSES_OUTSIDE = (
    (
        r"no space left|os error 28\b|disk quota exceeded|os error 122\b",
        "No space is left: free some on the disk of the environments and of uv's cache (`uv cache prune`).",
    ),
    (
        r"\b(401|403)\b.*(unauthorized|forbidden)|unauthorized|authentication required",
        "The package index refused the credentials: check user and password of its URL.",
    ),
    (
        r"error sending request|dns error|connection (refused|reset)|timed? ?out|network unreachable|request failed",
        "The package index cannot be reached: check the network, the proxy (HTTPS_PROXY) and the index URL.",
    ),
)
_HINTS = (
    *_CAUSES_IN_SOURCES,
    *_CAUSES_OUTSIDE,
    (
        r"not found in the package registry|not found in the cache|not found in the provided package locations",
        "The index has no such package: check its spelling; conda's name for a package may differ from that of PyPI.",
    ),
    (
        r"no usable wheels|no wheels with a matching|does not satisfy Python|requires-python|Python>",
        "A pinned version is not made for this Python: pin another version, or ask for another Python.",
    ),
    (
        r"there (is|are) no versions?|no versions? of",
        "A pinned version does not exist: pin another one, or leave the version out.",
    ),
    (
        r"requirements are unsatisfiable|conflict",
        "The requirements exclude each other: loosen one of those that are named.",
    ),
    (
        r"failed to build|build backend|gcc|compiler",
        "A package has to be compiled and cannot be: pin a version that has wheels for this Python.",
    ),
    (r"permission denied|os error 13\b|read-only file system", "A directory cannot be written: check its permissions."),
)


class EnvironmentBuildError(MLJupyterError):
    """An environment cannot be built.

    `step` is the step that failed, `last_lines` are the last lines of its output, at most 20, `hint` is a usual
    remedy, and `log` is the file with the whole log.
    """

    def __init__(
        self,
        message: str,
        *,
        step: str | None = None,
        last_lines: Sequence[str] = (),
        hint: str | None = None,
        log: Path | None = None,
    ) -> None:
        self.step = step
        self.last_lines = list(last_lines)[-LAST_LINES:]
        self.hint = hint
        self.log = log
        self._what = message
        shown = [message, *(f"    {line}" for line in self.last_lines)]
        super().__init__("\n".join([*shown, *([hint] if hint else []), *([f"The whole log: {log}"] if log else [])]))

    def with_log(self, log: Path) -> EnvironmentBuildError:
        """Return the same error with the file of the whole log."""
        return type(self)(self._what, step=self.step, last_lines=self.last_lines, hint=self.hint, log=log)


class MissingPinError(EnvironmentBuildError):
    """A requirement names a version that does not exist; the message has the versions that do."""

    def in_file(self, file: Path) -> MissingPinError:
        """Return the same error with the lines of the file that has the requirements, as far as they are in it."""
        what = placed_in(self._what, file)
        return MissingPinError(what, step=self.step, last_lines=self.last_lines, hint=self.hint, log=self.log)


class BuildCancelledError(EnvironmentBuildError):
    """A build was cancelled. Its partial results were removed."""


def with_lines_of(message: str, file: str, lines: Sequence[str]) -> str:
    """Return the message of a `MissingPinError` with the place of each requirement in a file.

    Parameters:
        message: the message.
        file: the name of the file.
        lines: its lines.

    Example:
        >>> with_lines_of("six==99 does not exist for Python 3.12.", "requirements.txt", ["numpy", "six==99  # old"])
        'six==99 (line 2 of requirements.txt) does not exist for Python 3.12.'

    """
    places: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        requirement = re.sub(r"(^|\s)#.*$", "", line).strip().removeprefix("- ").strip().strip("'\"")
        places.setdefault(requirement, number)

    def place(match: re.Match[str]) -> str:
        number = places.get(match[1])
        return match[0] if number is None else f"{match[1]} (line {number} of {file}){match[2]}"

    return re.sub(r"^(.+?)( does not exist for Python)", place, message, flags=re.MULTILINE)


def placed_in(message: str, file: Path) -> str:
    """Return the message of a `MissingPinError` with the place of each requirement in a file, if that can be read."""
    try:
        return with_lines_of(message, file.name, file.read_text(errors="replace", encoding="utf-8").splitlines())
    except OSError:  # it was there when the environment was made
        return message


def hint_for(lines: Sequence[str]) -> str | None:
    """Return a hint for a build that failed with this output, None when there is none.

    >>> hint_for(["error: failed to copy: No space left on device (os error 28)"])[:17]
    'No space is left:'
    """
    text = "\n".join(lines)
    return next((hint for pattern, hint in _HINTS if re.search(pattern, text, re.IGNORECASE)), None)


def caused_outside(lines: Sequence[str]) -> bool:
    """Return whether a build with this output failed for a full disk, or an index that refuses or does not answer."""
    text = "\n".join(lines)
    return any(re.search(pattern, text, re.IGNORECASE) for pattern, _ in _CAUSES_OUTSIDE)


def cannot_be_satisfied(lines: Sequence[str]) -> bool:
    """Return whether uv reports that the requirements cannot be satisfied, and not that the search failed."""
    text = "\n".join(lines)
    return re.search(r"no solution found|failed to build|failed to download and build", text, re.IGNORECASE) is not None
