"""The Python interpreters of this machine, and the choice of one for an environment."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from mljupyter.build.environments.requirements import Change
from mljupyter.build.environments.uv import Uv
from mljupyter.build.failures import EnvironmentBuildError
from mljupyter.files import in_home

OLDEST = (3, 9)
"""The oldest version of Python that can run a scoring script."""


@dataclass(frozen=True)
class Python:
    """An interpreter and its version."""

    path: str
    version: Version

    @property
    def minor(self) -> str:
        """The minor version, such as ``3.11``."""
        return f"{self.version.major}.{self.version.minor}"


def this_python() -> Python:
    """Return the interpreter of this process. A release candidate counts as the release."""
    return Python(sys.executable, Version(".".join(str(part) for part in sys.version_info[:3])))


def choose(wanted: str | None, uv: Uv, *, strict: bool) -> tuple[Python, Change | None]:
    """Return the Python for an environment, and the change if it is not a requested version.

    The Python of this process is preferred, then the newest suitable one on this machine, then the nearest version.

    Parameters:
        wanted: suitable versions as a specifier of PEP 440; None for any.
        uv: lists the Pythons of this machine when the one of this process is not suitable.
        strict: fail instead of choosing another version.

    Raises:
        EnvironmentBuildError: when `strict` and no suitable Python is found; when `wanted` is not a valid specifier.

    """
    this = this_python()
    if not wanted:
        return this, None
    try:
        versions = SpecifierSet(wanted)
    except InvalidSpecifier:
        raise EnvironmentBuildError(
            f"The version of Python is {wanted!r}. Rule: numbers, such as 3.11 or >=3.9,<3.12."
        ) from None
    if versions.contains(this.version):
        return this, None
    found = on_this_machine(uv)
    fitting = [python for python in found if versions.contains(python.version)]
    if fitting:
        return max(fitting, key=lambda python: python.version), None
    there = ", ".join(str(python.version) for python in sorted(found, key=lambda python: python.version))
    if strict:
        raise EnvironmentBuildError(
            f"Python {wanted} is not on this machine. There: {there}.\n"
            "Install it (`uv python install`, pyenv), ask for another version, or use the policy 'compatible'.",
            step="choosing a Python",
        )
    nearest = min(found, key=lambda python: _distance(python, wanted))
    return nearest, Change(
        f"python{wanted}", f"python=={nearest.version}", f"not on this machine; there: {there}", "relaxed"
    )


def on_this_machine(uv: Uv) -> list[Python]:
    """Return the Pythons that can run scoring scripts: the one of this process, those uv finds, those of pyenv."""
    by_version: dict[Version, Python] = {}
    for python in (this_python(), *_of_pyenv(), *_of_uv(uv)):
        if python.version.release[:2] >= OLDEST and not python.version.is_prerelease:
            by_version.setdefault(python.version, python)
    return list(by_version.values())


def _of_uv(uv: Uv) -> list[Python]:
    listing = uv.directory / f".pythons-{os.getpid()}-{time.monotonic_ns()}"
    try:
        arguments = ("python", "list", "--only-installed", "--output-format", "json")
        if uv.run(*arguments, shown=False, output=listing).status:
            return []
        entries = json.loads(listing.read_bytes())
    finally:
        listing.unlink(missing_ok=True)
    return [
        Python(str(entry["path"]), Version(entry["version"]))
        for entry in entries
        if entry.get("implementation") == "cpython" and entry.get("variant", "default") == "default"
    ]


def _of_pyenv() -> list[Python]:
    """Return the Pythons of pyenv. On PATH, pyenv has only the active ones."""
    root = in_home(os.environ.get("PYENV_ROOT"), ".pyenv")
    found = []
    for directory in (root / "versions").glob("3.*"):
        interpreter = directory / "bin" / "python3"
        if re.fullmatch(r"3\.\d+\.\d+", directory.name) and os.access(interpreter, os.X_OK):
            found.append(Python(str(interpreter), Version(directory.name)))
    return found


def _distance(python: Python, wanted: str) -> tuple[int, int, int]:
    """Return the distance of a Python from the first number in `wanted`: by minor version, newer before older."""
    match = re.search(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?", wanted)
    major, minor, patch = (int(part or 0) for part in match.groups()) if match else (3, 0, 0)
    steps = (python.version.major - major) * 100 + python.version.minor - minor
    return abs(steps), int(steps < 0), abs(python.version.micro - patch)
