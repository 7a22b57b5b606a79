"""Whether the system has killed processes for want of memory, and the limit that held for them."""

from __future__ import annotations

from pathlib import Path

# Where control groups tell: version 2, then version 1; in a container its own group is mounted at the root.
_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_EVENTS = (("", "memory.events", "memory.max"), ("memory", "memory.oom_control", "memory.limit_in_bytes"))
_NO_LIMIT = 1 << 60  # version 1 has a very large number instead of none


def killed_for_memory() -> int:
    """Return how many processes of this control group were killed for want of memory; 0 where nobody counts them."""
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
    """Return the most memory that this control group may use, in bytes; None where there is no limit."""
    for directory, _, limit in _places():
        try:
            text = (directory / limit).read_text().strip()
        except OSError:
            continue
        return int(text) if text.isdigit() and int(text) < _NO_LIMIT else None
    return None


def explained() -> str:
    """Return what to say of a process that was killed for want of memory, as in `was killed for want of memory`."""
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
