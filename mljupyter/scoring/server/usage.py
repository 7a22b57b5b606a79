"""CPU time and memory of the container in which this replica runs."""

from __future__ import annotations

import os
from pathlib import Path

from mljupyter.scoring.server.control_group import VERSION_2, Used, of_group, of_processes
from mljupyter.scoring.server.group_files import read, text_of

_PROCESSES = Path("/proc")
# The files of each version, with the controllers whose directories have them.
_FILES = (
    ((VERSION_2, "cpu.stat"), (VERSION_2, "memory.current"), (VERSION_2, "memory.stat")),
    (("cpuacct", "cpuacct.usage"), ("memory", "memory.usage_in_bytes"), ("memory", "memory.stat")),
)


def measured() -> Used | None:
    """Return the usage of the own container; None where the system does not tell it.

    It is that of the control group. Where its files are missing, it is that of this process and all below it.
    """
    for files in _FILES:
        found = {name: text for controller, name in files if (text := text_of(controller, name)) is not None}
        if (used := of_group(found)) is not None:
            return used
    try:
        paths = [entry / "stat" for entry in _PROCESSES.iterdir() if entry.name.isdigit()]
    except OSError:
        return None
    statistics = [text for path in paths if (text := read(path)) is not None]
    ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    return of_processes(statistics, os.getpid(), ticks=ticks, page=page)
