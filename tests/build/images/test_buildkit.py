"""BuildKit's command line is stood in for by a program that prints what the real one prints."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from mljupyter.build.images import BuildCancelledError, BuildFailedError, buildkit
from mljupyter.build.images.events import BuildLog

PROGRESS = """\
#0 building with "default" instance using docker driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 1.32kB done
#1 DONE 0.0s

#5 [mljupyter-server 1/2] COPY server-requirements.txt /tmp/mljupyter/
#5 DONE 0.1s

#6 [mljupyter-environment 2/3] RUN python3 -m venv /opt/environment
#6 1.234 Collecting roman==4.2
#6 2.345 from https://ada:hunter2@example.org/simple
#6 DONE 2.5s

#9 [stage-3 4/9] COPY azureml-app/ /var/azureml-app/
"""
SUCCESS = PROGRESS + "#9 DONE 0.1s\n"
FAILURE = PROGRESS.partition("#6 DONE")[0] + (
    "#6 2.9 ERROR: No matching distribution found for roman==99.0\n"
    '#6 ERROR: process "/bin/sh -c python3" did not complete successfully: exit code: 1\n'
    "ERROR: failed to solve: process did not complete successfully: exit code: 1\n"
)


def stand_in(directory: Path, output: str, status: int, *, then_sleep: bool = False) -> str:
    (directory / "output").write_text(output)
    program = directory / "docker"
    sleep = "sleep 600 &\necho $! > " + f"{directory}/child\nwait\n" if then_sleep else ""
    program.write_text(f'#!/bin/sh\necho "$@" > {directory}/arguments\ncat {directory}/output\n{sleep}exit {status}\n')
    program.chmod(0o755)
    return str(program)


def test_progress_becomes_stages_and_lines(tmp_path: Path) -> None:
    log = BuildLog()
    buildkit.run(tmp_path, "a:1", "linux/amd64", log, None, stand_in(tmp_path, SUCCESS, 0))
    begun = [event.stage for event in log.events if event.state == "running"]
    assert begun == ["context", "server", "environment", "image"]
    lines = [event.text for event in log.events if event.state is None and event.stage == "environment"]
    assert "Collecting roman==4.2" in lines
    assert "hunter2" not in log.text()
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[:2] == ["buildx", "build"]
    assert {"--load", "--platform", "linux/amd64", "--tag", "a:1"} <= set(arguments)


def test_a_failure_names_the_stage_and_a_hint(tmp_path: Path) -> None:
    with pytest.raises(BuildFailedError) as caught:
        buildkit.run(tmp_path, "a:1", "linux/amd64", BuildLog(), None, stand_in(tmp_path, FAILURE, 1))
    assert caught.value.step == "environment"
    assert "failed to solve" in caught.value.reason
    assert "pinned version" in (caught.value.hint or "")


def test_cancelling_ends_the_program_with_its_children(tmp_path: Path) -> None:
    cancel = threading.Event()
    log = BuildLog(lambda event: cancel.set() if event.stage == "image" else None, cancel=cancel)
    began = time.monotonic()
    with pytest.raises(BuildCancelledError):
        buildkit.run(tmp_path, "a:1", "linux/amd64", log, None, stand_in(tmp_path, PROGRESS, 0, then_sleep=True))
    assert time.monotonic() - began < 15
