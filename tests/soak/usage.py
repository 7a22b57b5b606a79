"""What a workspace uses at a moment: memory and file descriptors of each process, and bytes on the disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.system.conftest import Machine

Processes = dict[str, dict[str, tuple[int, int]]]
"""Role to pid to kilobytes and file descriptors. The memory is the proportional share of pages (PSS)."""


def processes(machine: Machine) -> Processes:
    """Return the usage of the controller, the routers and the replicas with their workers."""
    routers, replicas = set(machine.routers()), _below(machine.replicas())
    controllers = _below(machine.controllers()) - replicas - routers  # its children, such as the exporter of logs
    return {
        role: {str(pid): found for pid in sorted(pids) if (found := _usage(pid))}
        for role, pids in (("controller", controllers), ("router", routers), ("replica", replicas))
    }


def _below(pids: Iterable[int]) -> set[int]:
    """Return processes and all that descend from them."""
    found: set[int] = set()
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found |= {process.pid for process in (root, *root.children(recursive=True))}
    return found


def _usage(pid: int) -> tuple[int, int] | None:
    try:
        process = psutil.Process(pid)
        return process.memory_full_info().pss // 1000, process.num_fds()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def disk(directory: Path, leave_out: Path) -> int:
    """Return the bytes of all files below a directory but one, as the file system counts them."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process has removed it
            if path != leave_out and path.is_file() and not path.is_symlink():
                total += path.stat().st_blocks * 512
    return total
