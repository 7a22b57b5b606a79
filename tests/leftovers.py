"""Processes that a test has started by the way, such as the controller of a workspace that it looked into."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from tests.waiting import wait_until

_PLACES = ("*/control", "workspaces/*/control", "home/workspaces/*/control")
"""Where a controller keeps its files: below a workspace, a home, or a home in a directory of its own."""


def end_what_was_started_below(home: Path) -> None:
    """End controllers, routers and replicas of workspaces below a directory, and those that they start meanwhile."""
    wait_until(lambda: not _killed(home), f"nothing of {home} runs")


def _killed(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(home) in word for word in process.info["cmdline"] or ()):
            found.append(process)
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends with its controller
                process.kill()
    return found


def has_controllers(directory: Path) -> bool:
    """Return whether a controller was started for a workspace in the directory of a test."""
    return any(any(directory.glob(place)) for place in _PLACES)
