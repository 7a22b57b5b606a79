"""A virtual environment for each server, made with uv and kept between runs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

DEFAULT_CACHE = Path.home() / ".cache" / "mljupyter-benchmarks"
NEWEST = "2026-11-29"  # nothing published later is installed, so that what is not pinned stays what it was
_INSTALL_SECONDS = 900
_COMPLETE = "complete"


class UnavailableError(Exception):
    """A server cannot be installed or run here; the text says why."""


def environment(cache: Path, name: str, requirements: Sequence[str]) -> Path:
    """Return the interpreter of an environment with these requirements; make it if it is not there.

    Parameters:
        cache: directory of all environments.
        name: start of the environment's name; the rest follows from what is in it.
        requirements: what to install.

    Raises:
        UnavailableError: with what the installer said.

    """
    key = hashlib.sha256("\n".join((sys.version, NEWEST, *requirements)).encode()).hexdigest()[:10]
    directory = cache / f"{name}-{key}"
    python = directory / "bin" / "python"
    if (directory / _COMPLETE).exists():
        return python
    uv = _uv()
    _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(directory)])
    _run([
        uv, "pip", "install", "--quiet", "--compile-bytecode",
        "--exclude-newer", NEWEST,
        "--python", str(python),
        *requirements,
    ])  # fmt: skip
    (directory / _COMPLETE).write_text("\n".join(requirements))
    return python


def packages(python: Path) -> list[str]:
    """Return everything that is installed beside an interpreter, as pinned requirements; not what is in development."""
    command = [_uv(), "pip", "freeze", "--quiet", "--exclude-editable", "--python", str(python)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise UnavailableError("uv is not installed; it makes the environments: pip install uv")
    return found


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=_INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"installing took longer than {_INSTALL_SECONDS} s") from None
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"installing failed: {' '.join(error.stderr.split())[-400:]}") from None
