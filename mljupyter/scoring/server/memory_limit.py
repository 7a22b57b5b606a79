"""Out-of-memory kills: their number and the memory limit, read from the control group (cgroup) of this process."""

from __future__ import annotations

from mljupyter.scoring.server.control_group import VERSION_2, count, limit
from mljupyter.scoring.server.group_files import text_of

_KILLS = ((VERSION_2, "memory.events"), ("memory", "memory.oom_control"))
_LIMITS = ((VERSION_2, "memory.max"), ("memory", "memory.limit_in_bytes"))


def killed_for_memory() -> int:
    """Return the number of out-of-memory kills in this control group; 0 if the system does not count them."""
    for controller, name in _KILLS:
        if (kills := count(text_of(controller, name) or "", "oom_kill")) is not None:
            return kills
    return 0


def memory_limit() -> int | None:
    """Return the memory limit of this control group in bytes; None if there is none."""
    for controller, name in _LIMITS:
        if (text := text_of(controller, name)) is not None:
            return limit(text)
    return None


def explained() -> str:
    """Return the explanation for messages, which follows `was killed`: ``for want of memory (limit: 128 MiB)``."""
    most = memory_limit()
    return f"for want of memory ({'no limit' if most is None else f'limit: {most / (1 << 20):.0f} MiB'})"
