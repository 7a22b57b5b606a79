"""The mark of the start of a process tells it from another process with its pid."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from mljupyter.process_start import start_mark


def test_a_process_keeps_its_mark_and_another_one_has_another() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert start_mark(child.pid) == start_mark(child.pid) != start_mark(os.getpid())
        child.communicate(b"\n")
    with pytest.raises(ProcessLookupError):
        start_mark(child.pid)


def test_a_name_with_brackets_and_spaces_does_not_hide_the_start(tmp_path) -> None:
    program = tmp_path / ") 1 2 ("
    program.write_text("#!/bin/sh\nread line\n")
    program.chmod(0o700)
    with subprocess.Popen([program], stdin=subprocess.PIPE) as child:
        assert int(start_mark(child.pid).rpartition("-")[2]) >= int(start_mark(os.getpid()).rpartition("-")[2])
        child.communicate(b"\n")
