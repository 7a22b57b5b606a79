"""Pure parsing of the kernel's files about a control group (cgroup), versions 1 and 2, and about processes.

`group_files.py` reads the files. In version 2 a group has one directory; in version 1 it has one for each controller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

VERSION_2 = ""
"""The name that stands for version 2 where version 1 has the name of a controller."""
_NO_LIMIT = 1 << 60  # version 1 writes a very large number for no limit
# The fields of /proc/PID/stat that follow the name of the program: see proc(5).
_PARENT, _CPU_TIMES, _RESIDENT = 1, slice(11, 15), 21


class Used(NamedTuple):
    """The CPU time in seconds since a container or process started, and its memory in bytes."""

    cpu_seconds: float
    memory_bytes: int


def places(membership: str, controller: str) -> list[str]:
    """Return the directories that may be those of a process's own group, the most likely one first.

    They are below the directory where all groups are mounted. In a container its own group is mounted at the root,
    while the membership may name the path on the machine.

    Parameters:
        membership: the content of ``/proc/self/cgroup``.
        controller: a controller of version 1, or `VERSION_2`.

    Example:
        >>> places("4:memory:/kubepods/pod1/c1\\n0::/pod1", "memory"), places("0::/pod1", VERSION_2)
        (['memory/kubepods/pod1/c1', 'memory'], ['pod1', ''])

    """
    groups = [line.split(":", 2) for line in membership.splitlines()]
    own = [group[2].strip("/") for group in groups if len(group) == 3 and controller in group[1].split(",")]
    return [*("/".join(filter(None, (controller, path))) for path in own if path), controller]


def count(text: str, name: str) -> int | None:
    """Return the number in the line of a name; None if there is none.

    Example:
        >>> count("oom 1\\noom_kill 3\\n", "oom_kill"), count("oom 1\\n", "oom_kill")
        (3, None)

    """
    found = [line.removeprefix(f"{name} ") for line in text.splitlines() if line.startswith(f"{name} ")]
    return _number(found[0]) if found else None


def limit(text: str) -> int | None:
    """Return a limit in bytes; None for no limit.

    Example:
        >>> limit("134217728\\n"), limit("max\\n"), limit("9223372036854771712\\n")
        (134217728, None, None)

    """
    found = _number(text)
    return found if found is not None and found < _NO_LIMIT else None


def of_group(files: Mapping[str, str]) -> Used | None:
    """Return the usage of a control group; None if its files do not tell it.

    The inactive part of the file cache does not count, as in the tools of Docker and Kubernetes: the kernel takes it
    back when memory is wanted.

    Parameters:
        files: name to content of the group's files, all of one version; missing ones are left out.

    Example:
        >>> of_group({"cpu.stat": "usage_usec 2500000", "memory.current": "5000", "memory.stat": "inactive_file 1000"})
        Used(cpu_seconds=2.5, memory_bytes=4000)

    """
    microseconds, nanoseconds = count(files.get("cpu.stat", ""), "usage_usec"), _number(files.get("cpuacct.usage", ""))
    memory = _number(files.get("memory.current", files.get("memory.usage_in_bytes", "")))
    if memory is None or (microseconds is None and nanoseconds is None):
        return None
    seconds = microseconds / 1e6 if microseconds is not None else (nanoseconds or 0) / 1e9
    statistics = files.get("memory.stat", "")
    # In version 1 the name without prefix leaves out the groups below.
    cached = count(statistics, "total_inactive_file")
    if cached is None:
        cached = count(statistics, "inactive_file") or 0
    return Used(seconds, max(0, memory - cached))


def of_processes(statistics: Iterable[str], root: int, *, ticks: int, page: int) -> Used | None:
    """Return the usage of a process and all processes below it, ended ones included; None if it does not exist.

    Pages that processes share count in each of them.

    Parameters:
        statistics: the contents of ``/proc/PID/stat`` of all processes.
        root: the pid of the process.
        ticks: the ticks of the kernel's clock in a second.
        page: the size of a page of memory in bytes.

    Example:
        >>> of_processes(["1 (sh -c) S 0 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 1 9 25"], 1, ticks=100, page=4096)
        Used(cpu_seconds=2.0, memory_bytes=102400)

    """
    parents: dict[int, int] = {}
    used: dict[int, Used] = {}
    for text in statistics:
        head, _, tail = text.rpartition(")")  # the name of a program may contain anything
        pid, fields = _number(head.partition(" ")[0]), tail.split()
        if pid is None or len(fields) <= _RESIDENT:
            continue
        parents[pid] = int(fields[_PARENT])
        # The last two of the times are those of children that have ended.
        used[pid] = Used(sum(map(int, fields[_CPU_TIMES])) / ticks, int(fields[_RESIDENT]) * page)
    if root not in used:
        return None
    tree = [used[pid] for pid in used if _is_below(pid, root, parents)]
    return Used(sum(one.cpu_seconds for one in tree), sum(one.memory_bytes for one in tree))


def _is_below(pid: int, root: int, parents: Mapping[int, int]) -> bool:
    seen = set()
    while pid != root and pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
    return pid == root


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None
