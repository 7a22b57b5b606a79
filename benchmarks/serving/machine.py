"""Facts of the machine that a table of measurements needs beside it."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.serving import load

OF_THE_DAY = ("load average before", "date")
"""The facts that differ from one run to the next on the same machine."""


def facts() -> dict[str, str]:
    """Return what matters for the figures: processor, cores, memory, kernel, Python, client, load, date."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "client": " ".join(load.name().split()),
        "load average before": f"{os.getloadavg()[0]:.2f}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
