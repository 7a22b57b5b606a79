"""Out-of-memory kills: their number and the memory limit, read from the control group (cgroup) of this process."""

from __future__ import annotations

from pathlib import Path

# The files of cgroup version 2, then of version 1; in a container its own group is mounted at the root.
_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_EVENTS = (("", "memory.events", "memory.max"), ("memory", "memory.oom_control", "memory.limit_in_bytes"))
_NO_LIMIT = 1 << 60  # version 1 writes a very large number for no limit


def killed_for_memory() -> int:
    """Return the number of out-of-memory kills in this control group; 0 if the system does not count them."""
    for directory, events, _ in _places():
        try:
            lines = (directory / events).read_text().splitlines()
        except OSError:
            continue
        counts = [line.partition(" ")[2] for line in lines if line.startswith("oom_kill ")]
        if counts:
            return int(counts[0])
    return 0


def memory_limit() -> int | None:
    """Return the memory limit of this control group in bytes; None if there is none."""
    for directory, _, limit in _places():
        try:
            text = (directory / limit).read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() and int(text) < _NO_LIMIT else None
    return None


def explained() -> str:
    """Return the explanation for messages, which follows `was killed`: ``for want of memory (limit: 128 MiB)``."""
    limit = memory_limit()
    return f"for want of memory ({'no limit' if limit is None else f'limit: {limit / (1 << 20):.0f} MiB'})"


def _places() -> list[tuple[Path, str, str]]:
    try:
        groups = [line.split(":", 2) for line in _MEMBERSHIP.read_text().splitlines()]
    except OSError:
        groups = []
    found = []
    for folder, events, limit in _EVENTS:
        own = [path for _, names, path in groups if folder in names.split(",")]
        places = [*(_GROUPS / folder / path.lstrip("/") for path in own), _GROUPS / folder]
        found += [(place, events, limit) for place in places]
    return found
