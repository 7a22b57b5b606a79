"""Run code in real processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.small_disk import NoSmallDiskError, small_disk
from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).parents[2]


def start_python(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Start a Python process with `code` and `arguments`; `prefix` is a command that starts it."""
    command = [*prefix, sys.executable, "-c", textwrap.dedent(code), *(str(argument) for argument in arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    # A pipe for its input, which stays open: reading it lets the process wait until it is told or killed.
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def run_python(code: str, *arguments: object, prefix: tuple[str, ...] = ()) -> str:
    """Run a Python process to its end and return its output; fail when it fails."""
    process = start_python(code, *arguments, prefix=prefix)
    return finish(process)


def finish(process: subprocess.Popen[Any]) -> str:
    """Return the output of a process that ends well; fail with it otherwise."""
    output, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0, output
    return str(output)


def on_small_disk(directory: Path, size: str) -> tuple[str, ...]:
    """Return the command prefix of `small_disk`; skip the test where there can be none."""
    try:
        return small_disk(directory, size)
    except NoSmallDiskError as error:
        pytest.skip(str(error))
