"""Detached processes: they outlive the process that starts them, and get no signal of its terminal."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def start_detached(
    command: Sequence[str], directory: Path, output: int, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, without standard input.

    Parameters:
        command: the program and its arguments.
        directory: its working directory.
        output: the descriptor of the file that gets standard output and standard error.
        environment: all of its environment variables; by default those of this process.

    Raises:
        OSError: the program cannot be started.

    """
    return subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
