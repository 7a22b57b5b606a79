"""Which processes count as those of a workspace: they are found by their command lines, which anybody may choose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mljupyter.controller import running
from mljupyter.controller.layout import Layout
from mljupyter.controller.router import process
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.runtimes.process import processes
from mljupyter.runtimes.process.runtime import ProcessRuntime
from tests.waiting import wait_until

WAITS = "input()"
Start = Callable[..., int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a process that waits, and returns its pid."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*command: str) -> int:
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL))
        return started[-1].pid

    yield begin
    for one in started:
        one.communicate()  # the end of its input ends it


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout.of(tmp_path)
    for directory in (found.router, found.replicas / "iris-1"):
        directory.mkdir(parents=True)
    return found


def pids(layout: Layout) -> set[int]:
    """Return the processes that a controller takes over, or ends, as those of the workspace."""
    return {one.identity.pid for one in running.serving_processes(layout)}


def as_router(layout: Layout) -> list[str]:
    return [sys.executable, "-c", WAITS, "--config-path", str(layout.router / "bootstrap.json")]


def shown(pid: int, word: str) -> bool:
    return word in psutil.Process(pid).cmdline()


def test_who_looks_at_a_file_of_the_workspace_is_no_part_of_it(layout: Layout, start: Start) -> None:
    log = str(layout.replicas / "iris-1" / "replica.log")
    lookers = [
        ["cat", "-", str(layout.router / "bootstrap.json")],
        [sys.executable, "-c", WAITS, "mljupyter.scoring", log],
        [sys.executable, "-c", WAITS, "mljupyter.telemetry", str(layout.directory)],
        [sys.executable, "-c", WAITS, "mljupyter.controller", str(layout.directory)],
    ]
    for command in lookers:
        pid = start(*command)
        wait_until(lambda pid=pid, word=command[-1]: shown(pid, word), "it runs")
    assert not process.running(layout.router)
    assert not pids(layout)
    assert running.controller_of(layout) is None


def test_a_router_is_found_by_the_file_that_it_is_started_with(layout: Layout, start: Start) -> None:
    pid = start(*as_router(layout))
    wait_until(lambda: pids(layout) == {pid}, "it is found")


def test_no_process_of_a_container_is_taken_for_one_of_the_workspace(layout: Layout, start: Start) -> None:
    unshare = shutil.which("unshare")
    apart = [unshare or "unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if unshare is None or subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system makes no PID namespaces for its users")
    parent = psutil.Process(start(*apart, *as_router(layout)))
    child = wait_until(lambda: next(iter(parent.children()), None), "it has started")
    wait_until(lambda: shown(child.pid, "--config-path"), "it runs what was given")
    assert child.uids().real == psutil.Process().uids().real, "it has this user's number, as scripts in containers may"
    assert child.pid not in pids(layout)


def test_the_controller_is_found_although_the_clock_was_set(layout: Layout, start: Start) -> None:
    code = (
        "import sys; from pathlib import Path; from mljupyter.controller.storage.lock import ControllerLock\n"
        "with ControllerLock(Path(sys.argv[1])): input()"
    )
    pid = start(sys.executable, "-c", code, str(layout.lock), str(layout.directory))
    found = wait_until(lambda: running.controller_of(layout), "it holds the lock")
    assert found.pid == pid
    an_hour_ago = layout.lock.stat().st_mtime - 3600
    os.utime(layout.lock, (an_hour_ago, an_hour_ago))  # as if the clock was set forward by an hour
    assert running.controller_of(layout) == found


async def test_the_id_of_a_replica_leads_to_no_record_elsewhere(layout: Layout, start: Start) -> None:
    elsewhere = layout.collected / "other"  # where a container may write
    elsewhere.mkdir(parents=True)
    record = {"id": "iris-1", "endpoint": "iris", "version": "iris", "revision": "0"}
    for directory in (elsewhere, layout.replicas / "iris-1"):
        (directory / "replica.json").write_text(json.dumps(record))
    found = {}
    for name in ("iris-1", "../../collected/other"):
        places = ["--unix-socket", str(elsewhere / "s.sock"), "--log-file", str(layout.replicas / "iris-1" / "a.log")]
        pid = start(sys.executable, "-c", WAITS, "-m", "mljupyter.scoring", *places, "--replica", name)
        wait_until(lambda pid=pid, name=name: shown(pid, name), "it runs")
        found[name] = pid
    runtime = ProcessRuntime(
        replicas=layout.replicas,
        revisions=layout.revisions,
        sockets=layout.runtime,
        collected=layout.collected,
        store=ArtifactStore(layout.artifacts),
    )
    assert [replica.pid for replica in await runtime.adopt()] == [found["iris-1"]]


def test_options_have_the_value_that_follows() -> None:
    assert processes.option(["x", "-m", "a", "-m", "b"], "-m") == "a"
    assert processes.option(["x", "-m"], "-m") is None
