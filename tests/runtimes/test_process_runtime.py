"""The runtime of processes, with a shell script in place of the scoring server."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from mljupyter.runtimes.base import Ending, ReplicaOrder, RunningReplica
from mljupyter.runtimes.process import processes
from mljupyter.runtimes.process.runtime import ProcessRuntime
from mljupyter.runtimes.process.zygotes import AVAILABLE as ZYGOTES_AVAILABLE
from mljupyter.spec import CodeReference, ModelReference, VersionSpec
from tests.fakes.contents import FakeContents
from tests.waiting import wait_until

DIGEST = "sha256:" + "a" * 64
MODEL_DIGEST = "sha256:" + "b" * 64
SPEC = VersionSpec(code=CodeReference(digest=DIGEST, entry_script="score.py"))
# In place of Python: writes down its environment, and ends with the status that is written into its pipe.
SERVER = """#!/bin/sh
env > environment
mkfifo control.new
mv control.new control
read status < control
exit "$status"
"""


@pytest.fixture
def runtime(tmp_path: Path, short_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessRuntime:
    server = tmp_path / "server"
    server.write_text(SERVER)
    server.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(server))
    return made(tmp_path, short_path)


@pytest.fixture(autouse=True)
def _no_process_stays(tmp_path: Path) -> Iterator[None]:
    yield
    for identity, _ in processes.find(lambda command: any(str(tmp_path) in part for part in command)):
        identity.signal(signal.SIGKILL)


def made(place: Path, sockets: Path, contents: FakeContents | None = None) -> ProcessRuntime:
    for name in ("replicas", "revisions"):
        (place / name).mkdir(exist_ok=True)
    return ProcessRuntime(
        replicas=place / "replicas",
        revisions=place / "revisions",
        sockets=lambda: sockets,
        collected=place / "collected",
        store=contents or FakeContents(),
    )


def order(replica_id: str = "iris-1", revision: str = "r1", spec: VersionSpec = SPEC) -> ReplicaOrder:
    return ReplicaOrder(replica_id, "iris", "iris", revision, "local", "workspace", spec)


async def started(runtime: ProcessRuntime, place: Path, what: ReplicaOrder) -> RunningReplica:
    """Start a replica; return when its script waits."""
    replica = await runtime.start(what)
    wait_until(lambda: (place / "replicas" / replica.id / "control").exists(), what="the script waits")
    return replica


async def ends(runtime: ProcessRuntime, place: Path, replica: RunningReplica, status: int = 0) -> Ending:
    """Let a replica end with a status; return what the runtime says of it."""
    (place / "replicas" / replica.id / "control").write_text(f"{status}\n")
    return await runtime.ended(replica)


def command(replica: RunningReplica) -> list[str]:
    return psutil.Process(replica.pid).cmdline()


def environment(place: Path, replica: RunningReplica) -> dict[str, str]:
    lines = (place / "replicas" / replica.id / "environment").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


async def test_a_replica_listens_on_a_socket_of_its_own_and_writes_its_logs_into_its_directory(
    runtime: ProcessRuntime, tmp_path: Path, short_path: Path
) -> None:
    replica = await started(runtime, tmp_path, order())
    options = command(replica)
    directory = tmp_path / "replicas" / "iris-1"
    assert replica.address == f"unix:{short_path}/1.sock"
    assert processes.option(options, "-m") == "mljupyter.scoring"
    assert processes.option(options, "--replica") == "iris-1"
    assert processes.option(options, "--unix-socket") == f"{short_path}/1.sock"
    assert processes.option(options, "--log-file") == str(directory / "replica.log")
    assert processes.option(options, "--insights-file") == str(directory / "insights.jsonl")
    assert (replica.target, replica.key) == ("local", None)


async def test_only_its_owner_reads_the_files_of_a_replica(runtime: ProcessRuntime, tmp_path: Path) -> None:
    await started(runtime, tmp_path, order())
    directory = tmp_path / "replicas" / "iris-1"
    assert directory.stat().st_mode & 0o777 == 0o700
    for name in ("replica.json", "output.log"):
        assert (directory / name).stat().st_mode & 0o777 == 0o600, name


async def test_a_replica_inherits_paths_and_proxies_and_no_secrets(
    runtime: ProcessRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    monkeypatch.setenv("OMP_PROC_BIND", "true")
    found = environment(tmp_path, await started(runtime, tmp_path, order()))
    assert "AWS_SECRET_ACCESS_KEY" not in found
    assert (found["HTTPS_PROXY"], found["OMP_PROC_BIND"]) == ("http://proxy", "true")


async def test_the_contract_of_the_scoring_container_overrules_the_variables_of_the_version(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(
        update={
            "environment_variables": {"SERVICE_NAME": "other", "MINE": "1"},
            "models": [ModelReference(name="iris", version=3, digest=MODEL_DIGEST, entry="model.pkl")],
        }
    )
    found = environment(tmp_path, await started(runtime, tmp_path, order(spec=spec)))
    root = tmp_path / "revisions" / "iris.iris.r1"
    assert (found["SERVICE_NAME"], found["MINE"]) == ("iris", "1")
    assert found["AML_APP_ROOT"] == str(root)
    assert found["AZUREML_MODEL_DIR"] == str(root / "azureml-models" / "iris" / "3")
    assert (root / "azureml-models" / "iris" / "3" / "model.pkl").read_text() == MODEL_DIGEST


async def test_the_script_gets_the_interpreter_and_module_path_of_its_version_and_the_server_does_not(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    variables = {"PYTHONPATH": "/modules/of/the/script"}
    spec = SPEC.model_copy(update={"interpreter": "/other/python", "environment_variables": variables})
    replica = await started(runtime, tmp_path, order(spec=spec))
    found = environment(tmp_path, replica)
    assert processes.option(command(replica), "--worker-python") == "/other/python"
    assert found["MLJUPYTER_WORKER_PYTHONPATH"] == "/modules/of/the/script"
    assert found.get("PYTHONPATH") != "/modules/of/the/script"


async def test_replicas_of_one_revision_share_an_app_root(tmp_path: Path, short_path: Path, runtime: object) -> None:
    contents = FakeContents()
    runtime = made(tmp_path, short_path, contents)
    await started(runtime, tmp_path, order("iris-1"))
    await started(runtime, tmp_path, order("iris-2"))
    assert contents.fetched == [DIGEST]
    await started(runtime, tmp_path, order("iris-3", revision="r2"))
    assert contents.fetched == [DIGEST, DIGEST]


async def test_content_that_cannot_be_had_starts_nothing_and_leaves_no_half_of_an_app_root(
    tmp_path: Path, short_path: Path, runtime: object
) -> None:
    contents = FakeContents()
    contents.failure = OSError("no space left")
    with pytest.raises(OSError, match="no space left"):
        await made(tmp_path, short_path, contents).start(order())
    assert list((tmp_path / "revisions").iterdir()) == []
    assert list((tmp_path / "replicas").iterdir()) == []


async def test_the_exit_status_of_a_replica_is_told_and_its_socket_removed(
    runtime: ProcessRuntime, tmp_path: Path, short_path: Path
) -> None:
    replica = await started(runtime, tmp_path, order())
    (short_path / "1.sock").touch()
    assert await ends(runtime, tmp_path, replica, 3) == Ending(3)
    assert not (short_path / "1.sock").exists()


async def test_stop_asks_and_kill_ends(runtime: ProcessRuntime, tmp_path: Path) -> None:
    asked = await started(runtime, tmp_path, order("iris-1"))
    killed = await started(runtime, tmp_path, order("iris-2"))
    runtime.stop(asked)
    assert await runtime.ended(asked) == Ending(-signal.SIGTERM)
    runtime.kill(killed)
    assert await runtime.ended(killed) == Ending(-signal.SIGKILL)


async def test_another_process_that_has_got_the_pid_of_a_replica_is_left_alone(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    replica = await started(runtime, tmp_path, order())
    earlier = dataclasses.replace(replica, id="iris-0", started_time=replica.started_time - 60)
    runtime.kill(earlier)
    assert (await runtime.ended(earlier)).exit_status is None
    assert psutil.Process(replica.pid).status() != psutil.STATUS_ZOMBIE
    assert await ends(runtime, tmp_path, replica, 0) == Ending(0)


async def test_a_later_runtime_adopts_a_replica_and_waits_for_its_end(
    runtime: ProcessRuntime, tmp_path: Path, short_path: Path
) -> None:
    replica = await started(runtime, tmp_path, order())
    later = made(tmp_path, short_path)
    assert await later.adopt() == [replica]
    (tmp_path / "replicas" / "iris-1" / "control").write_text("7\n")
    assert (await runtime.ended(replica)).exit_status == 7
    assert await later.ended(replica) == Ending(None), "only a parent is told the status"


async def test_an_adopted_replica_keeps_its_socket_where_later_ones_get_theirs_elsewhere(
    runtime: ProcessRuntime, tmp_path: Path, short_path: Path
) -> None:
    await started(runtime, tmp_path, order())
    elsewhere = short_path / "other"
    elsewhere.mkdir()
    (adopted,) = await made(tmp_path, elsewhere).adopt()
    assert adopted.address == f"unix:{short_path}/1.sock"


async def test_a_replica_without_a_record_is_ended_when_replicas_are_adopted(
    runtime: ProcessRuntime, tmp_path: Path, short_path: Path
) -> None:
    replica = await started(runtime, tmp_path, order())
    (tmp_path / "replicas" / "iris-1" / "replica.json").write_text("{")
    assert await made(tmp_path, short_path).adopt() == []
    assert await runtime.ended(replica) == Ending(-signal.SIGKILL)


async def test_a_replica_id_that_is_a_path_leads_to_no_record_elsewhere(
    runtime: ProcessRuntime, tmp_path: Path, short_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    record = {"id": "x", "endpoint": "iris", "version": "iris", "revision": "r1"}
    (tmp_path / "elsewhere" / "replica.json").write_text(json.dumps(record))
    options = ["-m", "mljupyter.scoring", "--unix-socket", f"{short_path}/x.sock", "--replica", "../elsewhere"]
    foreign = subprocess.Popen(["/bin/sh", "-c", "read line", "sh", *options], stdin=subprocess.PIPE)
    assert await runtime.adopt() == []
    assert foreign.wait() == -signal.SIGKILL
    assert foreign.stdin is not None
    foreign.stdin.close()


async def test_app_roots_that_a_killed_process_left_unfinished_are_removed(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    (tmp_path / "revisions" / ".building-x").mkdir(parents=True)
    await runtime.adopt()
    assert list((tmp_path / "revisions").iterdir()) == []


async def test_the_newest_three_ended_replicas_of_a_version_keep_their_logs(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    for number in range(5):
        replica = await started(runtime, tmp_path, order(f"iris-{number}", revision=f"r{number}"))
        await ends(runtime, tmp_path, replica)
        os.utime(tmp_path / "replicas" / replica.id, (number, number))
    running = await started(runtime, tmp_path, order("iris-9", revision="r9"))
    await runtime.forget("iris", "iris")
    assert {path.name for path in (tmp_path / "replicas").iterdir()} == {"iris-2", "iris-3", "iris-4", "iris-9"}
    assert {path.name for path in (tmp_path / "revisions").iterdir()} == {f"iris.iris.r{n}" for n in (2, 3, 4, 9)}
    await ends(runtime, tmp_path, running)


async def test_nothing_of_a_deleted_endpoint_is_left(runtime: ProcessRuntime, tmp_path: Path) -> None:
    await ends(runtime, tmp_path, await started(runtime, tmp_path, order()))
    other = dataclasses.replace(order("wine-1"), endpoint="wine", version="wine")
    await ends(runtime, tmp_path, await started(runtime, tmp_path, other))
    await runtime.forget("iris")
    assert [path.name for path in (tmp_path / "replicas").iterdir()] == ["wine-1"]
    assert [path.name for path in (tmp_path / "revisions").iterdir()] == ["wine.wine.r1"]


async def test_a_replica_that_died_before_it_had_a_log_shows_its_output(
    runtime: ProcessRuntime, tmp_path: Path
) -> None:
    replica = await started(runtime, tmp_path, order())
    directory = tmp_path / "replicas" / "iris-1"
    (directory / "output.log").write_text("Traceback\nImportError\n")
    (log,) = runtime.logs("iris")
    assert list(log.lines()) == ["Traceback\n", "ImportError\n"]
    assert await runtime.last_lines(replica, 1) == ["ImportError"]
    (directory / "replica.log").write_text("one\ntwo\n")
    (log,) = runtime.logs("iris")
    assert list(log.lines()) == ["one\n", "two\n"]
    assert await runtime.last_lines(replica, 5) == ["one", "two"]


async def test_logs_are_those_of_the_endpoint_and_version_asked_for(runtime: ProcessRuntime, tmp_path: Path) -> None:
    await started(runtime, tmp_path, order("iris-1"))
    await started(runtime, tmp_path, dataclasses.replace(order("iris-b-2"), version="b"))
    await started(runtime, tmp_path, dataclasses.replace(order("wine-3"), endpoint="wine"))
    assert {log.replica_id for log in runtime.logs("iris")} == {"iris-1", "iris-b-2"}
    assert {log.replica_id for log in runtime.logs("iris", "b")} == {"iris-b-2"}
    assert {log.replica_id for log in runtime.records()} == {"iris-1", "iris-b-2", "wine-3"}
    assert {log.replica_id for log in runtime.records("wine")} == {"wine-3"}


async def test_collected_data_is_in_a_directory_of_the_owner_alone(runtime: ProcessRuntime, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"collect_model_data": True})
    found = environment(tmp_path, await started(runtime, tmp_path, order(spec=spec)))
    place = tmp_path / "collected" / "iris"
    assert found["AML_MODEL_DC_STORAGE"] == str(place)
    assert place.parent.stat().st_mode & 0o777 == place.stat().st_mode & 0o777 == 0o700


@pytest.fixture
async def working(runtime: ProcessRuntime, tmp_path: Path) -> AsyncIterator[tuple[RunningReplica, int]]:
    """A replica, and the pid of its worker, which is not among its children."""
    replica = await started(runtime, tmp_path, order())
    worker = subprocess.Popen(["/bin/sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; read line"],
                              stdin=subprocess.PIPE)  # fmt: skip
    wait_until(lambda: psutil.Process(worker.pid).cpu_times().user > 0.05, "the worker has worked")
    yield replica, worker.pid
    worker.kill()
    worker.communicate()


async def test_the_usage_of_a_replica_includes_its_worker_and_goes_on_after_the_worker_has_ended(
    runtime: ProcessRuntime, working: tuple[RunningReplica, int]
) -> None:
    replica, worker_pid = working
    alone = (await runtime.usage([replica], {}))[replica.id]
    both = (await runtime.usage([replica], {replica.id: worker_pid}))[replica.id]
    assert both.cpu_seconds >= alone.cpu_seconds + 0.05
    assert both.memory_bytes > alone.memory_bytes > 0
    os.kill(worker_pid, signal.SIGKILL)
    os.waitpid(worker_pid, 0)
    after = (await runtime.usage([replica], {replica.id: worker_pid}))[replica.id]
    assert after.cpu_seconds >= both.cpu_seconds, "CPU time is a sum: it never falls"
    assert after.memory_bytes < both.memory_bytes


async def test_a_replica_that_has_ended_has_no_usage(runtime: ProcessRuntime, tmp_path: Path) -> None:
    replica = await started(runtime, tmp_path, order())
    await ends(runtime, tmp_path, replica)
    assert await runtime.usage([replica], {}) == {}


def parent(pid: int) -> int | None:
    """Return the parent of a process. What a shell starts has the command line of the shell for a moment."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).ppid()
    return None


@pytest.mark.skipif(not ZYGOTES_AVAILABLE, reason="zygotes need Linux")
class TestZygotes:
    """Workers of a revision that is preloaded are forked from one zygote."""

    PRELOADED = SPEC.model_copy(update={"preload": True})

    def zygotes(self, place: Path) -> list[tuple[processes.Identity, list[str]]]:
        found = list(processes.find(lambda it: "--template-socket" in it and any(str(place) in part for part in it)))
        return [one for one in found if parent(one[0].pid) not in {identity.pid for identity, _ in found}]

    async def test_replicas_of_one_revision_share_a_zygote(
        self, runtime: ProcessRuntime, tmp_path: Path, short_path: Path
    ) -> None:
        first = await started(runtime, tmp_path, order("iris-1", spec=self.PRELOADED))
        second = await started(runtime, tmp_path, order("iris-2", spec=self.PRELOADED))
        ((_, zygote),) = self.zygotes(tmp_path)
        socket = processes.option(zygote, "--template-socket")
        assert processes.option(command(first), "--fork-from") == socket
        assert processes.option(command(second), "--fork-from") == socket
        logs = {log.replica_id: log for log in runtime.logs("iris")}
        zygote_id = str(processes.option(zygote, "--replica"))
        (tmp_path / "replicas" / zygote_id / "replica.log").write_text("init\n")
        before = logs["iris-1"].before
        assert before is not None
        assert list(before()) == ["init\n"]

    async def test_another_revision_has_another_zygote(self, runtime: ProcessRuntime, tmp_path: Path) -> None:
        await started(runtime, tmp_path, order("iris-1", spec=self.PRELOADED))
        await started(runtime, tmp_path, order("iris-2", "r2", spec=self.PRELOADED))
        assert len(self.zygotes(tmp_path)) == 2

    async def test_a_zygote_that_died_is_started_again(self, runtime: ProcessRuntime, tmp_path: Path) -> None:
        await started(runtime, tmp_path, order("iris-1", spec=self.PRELOADED))
        ((zygote, _),) = self.zygotes(tmp_path)
        zygote.signal(signal.SIGKILL)
        wait_until(lambda: not zygote.alive(), what="the zygote is gone")
        await started(runtime, tmp_path, order("iris-2", spec=self.PRELOADED))
        ((later, _),) = self.zygotes(tmp_path)
        assert later != zygote

    async def test_a_zygote_ends_with_its_endpoint(self, runtime: ProcessRuntime, tmp_path: Path) -> None:
        replica = await started(runtime, tmp_path, order("iris-1", spec=self.PRELOADED))
        await runtime.forget("iris", "iris")
        assert len(self.zygotes(tmp_path)) == 1, "it stays for the replicas of its version"
        await ends(runtime, tmp_path, replica)
        await runtime.forget("iris")
        wait_until(lambda: not self.zygotes(tmp_path), what="the zygote is gone")

    async def test_a_zygote_is_not_adopted_as_a_replica(
        self, runtime: ProcessRuntime, tmp_path: Path, short_path: Path
    ) -> None:
        replica = await started(runtime, tmp_path, order("iris-1", spec=self.PRELOADED))
        assert [one.id for one in await made(tmp_path, short_path).adopt()] == [replica.id]
