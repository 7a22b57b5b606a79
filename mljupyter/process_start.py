"""The start of a process, as a mark that tells it from an earlier process with the same pid.

The mark does not change when the clock of the machine is set. The start time that the system shows does: it is the time
of the machine's start by the present clock, which moves by each correction, plus the age of the process at that time.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_STARTED = 19  # the field `starttime` of /proc/PID/stat, counted from the one after the name


def start_mark(pid: int) -> str:
    """Return the mark of the start of a running process.

    On Linux it is the start of the machine, by its random id, and the clock ticks from there to the start of the
    process. On other systems it is the start time that the system has kept since then.

    Raises:
        ProcessLookupError: there is no such process, or this user must not see it.

    Example:
        >>> import os
        >>> start_mark(os.getpid()) == start_mark(os.getpid())
        True

    """
    if not (_PROC / "self" / "stat").exists():
        return _kept_start(pid)
    try:
        fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        raise ProcessLookupError(f"there is no process {pid}") from None
    return f"{_machine_start()}-{int(fields[_STARTED])}"


@cache
def _machine_start() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _kept_start(pid: int) -> str:
    import psutil  # not needed on Linux

    try:
        return str(psutil.Process(pid).create_time())
    except psutil.Error:
        raise ProcessLookupError(f"there is no process {pid}") from None
