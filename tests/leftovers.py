"""Processes that a test has started by the way, such as the controller of a workspace that it looked into."""

from __future__ import annotations

from pathlib import Path

import psutil


def end_what_was_started_below(home: Path) -> None:
    """End controllers, routers and replicas of the workspaces below a directory."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(home) in word for word in process.info["cmdline"] or ()):
            process.kill()


def has_controllers(directory: Path) -> bool:
    """Return whether a controller was started for a workspace of the home in the directory of a test."""
    return any(directory.glob("home/workspaces/*/control"))
