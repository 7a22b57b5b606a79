"""Cores and memory of this machine, within the limits of the control group that this process is in."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from mljupyter.engine.scaling.capacity import Capacity

_GIB = 1 << 30
_GROUPS = Path("/sys/fs/cgroup")


def capacity() -> Capacity:
    """Return the cores and the memory that processes of this user can use here, limits of containers included."""
    cores = [float(_cores()), *_core_limits()]
    memory = [psutil.virtual_memory().total, *_memory_limits()]
    return Capacity(min(cores), min(memory) / _GIB, socket.gethostname())


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


def _core_limits() -> Iterator[float]:
    for group in _own_groups():
        quota, _, period = _text(group / "cpu.max").partition(" ")
        if quota.isdecimal() and period.strip().isdecimal() and int(period) > 0:
            yield int(quota) / int(period)
    quota, period = _text(_GROUPS / "cpu/cpu.cfs_quota_us"), _text(_GROUPS / "cpu/cpu.cfs_period_us")  # version 1
    if quota.isdecimal() and period.isdecimal() and int(period) > 0:
        yield int(quota) / int(period)


def _memory_limits() -> Iterator[int]:
    files = [*(group / "memory.max" for group in _own_groups()), _GROUPS / "memory/memory.limit_in_bytes"]
    yield from (int(text) for text in map(_text, files) if text.isdecimal() and int(text) > 0)


def _own_groups() -> Iterator[Path]:
    """Yield the control group of this process and all groups above it (version 2)."""
    lines = [line for line in _text(Path("/proc/self/cgroup")).splitlines() if line.startswith("0::/")]
    if not lines:
        return
    group = _GROUPS / lines[0].removeprefix("0::/")
    while group != _GROUPS and _GROUPS in group.parents:
        yield group
        group = group.parent
    yield _GROUPS


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
