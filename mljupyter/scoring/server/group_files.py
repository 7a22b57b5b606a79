"""Reads the files of the control group (cgroup) of this process."""

from __future__ import annotations

from pathlib import Path

from mljupyter.scoring.server.control_group import places

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def text_of(controller: str, name: str) -> str | None:
    """Return the content of a file of the own group; None if there is none.

    Parameters:
        controller: a controller of version 1, or `control_group.VERSION_2`.
        name: the name of the file.

    """
    for place in places(read(_MEMBERSHIP) or "", controller):
        if (text := read(_GROUPS / place / name)) is not None:
            return text
    return None


def read(path: Path) -> str | None:
    """Return the content of a file of the kernel; None if it cannot be read."""
    try:
        return path.read_text(errors="replace", encoding="utf-8")
    except OSError:
        return None
