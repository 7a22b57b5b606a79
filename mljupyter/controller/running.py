"""Find the processes of a workspace without its sockets: for removed sockets and processes that hang."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from mljupyter.controller.layout import Layout
from mljupyter.controller.router import process as router_process
from mljupyter.runtimes.process import processes
from mljupyter.runtimes.process.runtime import MODULE, replicas_of

_CONTROLLER = "mljupyter.controller"
_TELEMETRY = "mljupyter.telemetry"
_LOOK_EVERY = 0.02
_CLOCK_SPARE = 2.0


@dataclass(frozen=True)
class Running:
    """A process of a workspace, with its role as text."""

    what: str
    identity: processes.Identity

    def __str__(self) -> str:
        return f"{self.what} (pid {self.identity.pid})"


def controller_of(layout: Layout) -> processes.Identity | None:
    """Return the controller of a workspace, even if it cannot be reached; None when there is none.

    It is the process that holds the lock, and its command line names the workspace. Another process that has reused its
    pid does not hold the lock. If the system does not show locks, such a process is younger than the lock file's text.
    """
    own = str(layout.directory)
    try:
        pid = int(layout.lock.read_text(encoding="utf-8"))
        file = layout.lock.stat()
    except (OSError, ValueError):  # the lock file was removed or damaged; a controller may run nevertheless
        found = processes.find(lambda it: processes.option(it, "-m") == _CONTROLLER and own in it)
        return next((identity for identity, _ in found), None) if layout.control.is_dir() else None
    identity = processes.Identity.of(pid)
    if identity is None or not identity.alive():
        return None
    # If the clock was set since, the start times of processes that the system shows have changed too.
    if not _locks(pid, file.st_ino) and identity.started_time > file.st_mtime + _CLOCK_SPARE:
        return None
    try:
        process = psutil.Process(pid)
        return identity if own in process.cmdline() and process.uids().real == file.st_uid else None
    except psutil.Error:
        return None


def serving_processes(layout: Layout) -> list[Running]:
    """Return the routers and the replicas on this machine with all their processes, even without a controller."""
    routers = [Running("router", process.identity) for process in router_process.running(layout.router)]
    replicas = [Running(f"replica {name}", identity) for identity, name, _ in replicas_of(layout.replicas)]
    known = {one.identity for one in (*routers, *replicas)}
    others = [
        Running("process of a replica", identity)
        for identity, command in processes.find(lambda it: _belongs(layout, it))
    ]
    return [*routers, *replicas, *(one for one in others if one.identity not in known)]


def sockets_of_replicas(layout: Layout) -> dict[str, Path]:
    """Return the sockets of the running replicas on this machine, by their ids."""
    return {name: socket for _, name, socket in replicas_of(layout.replicas)}


def kill(found: list[Running]) -> None:
    """Kill processes, even those that hang or are stopped."""
    for one in found:
        one.identity.signal(signal.SIGKILL)


def gone(identities: list[processes.Identity], until: float) -> bool:
    """Return whether processes have ended by a time of the monotonic clock."""
    while any(identity.alive() for identity in identities):
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_EVERY)
    return True


def _locks(pid: int, inode: int) -> bool:
    """Return whether the system shows a lock of a process on a file. False also if it does not show locks."""
    try:
        lines = Path("/proc/locks").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    # 1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF. On some file systems the device differs from that of `stat`.
    found = (line.split() for line in lines if " FLOCK " in line)
    return any(fields[-4] == str(pid) and fields[-3].rpartition(":")[2] == str(inode) for fields in found)


def _belongs(layout: Layout, command: list[str]) -> bool:
    module = processes.option(command, "-m")
    if module == _TELEMETRY:
        return str(layout.directory) in command
    return module == MODULE and any(part.startswith(f"{layout.replicas}/") for part in command)
