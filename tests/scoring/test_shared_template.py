"""Replicas of one version whose workers are forked from one process that has run init()."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.scoring.exit_codes import INTERNAL_ERROR
from mljupyter.scoring.protocol import FORKED, PREFIX
from tests.scoring.conftest import Replica, is_alive
from tests.scoring.test_preloading import SLOW_START, proportional_bytes
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")


class Version:
    """A directory with a script, its zygote, and replicas that have their workers forked from it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "t"
        self.processes: list[subprocess.Popen[bytes]] = []
        self.replicas: list[Replica] = []

    def template(self, script: str = SLOW_START, *flags: str) -> subprocess.Popen[bytes]:
        (self.directory / "score.py").write_text(textwrap.dedent(script))
        places = ["--template-socket", str(self.socket), "--log-file", str(self.directory / "template.log")]
        process = subprocess.Popen(
            [sys.executable, "-m", "mljupyter.scoring", "--entry-script", "score.py", *places, *flags],
            cwd=self.directory,
        )
        self.processes.append(process)
        wait_until(self.socket.exists, "the zygote's socket")
        return process

    def replica(self, *flags: str, ready: bool = True) -> Replica:
        directory = self.directory / str(len(self.replicas))
        directory.mkdir()
        root = ("--app-root", str(self.directory), "--entry-script", "score.py")
        replica = Replica(directory, None, *root, "--fork-from", str(self.socket), *flags)
        self.replicas.append(replica)
        return replica.wait_ready() if ready else replica

    def log(self) -> str:
        return (self.directory / "template.log").read_text()

    def end(self) -> None:
        for replica in self.replicas:
            replica.end()
        for process in self.processes:
            process.kill()
            process.wait(HANG_SECONDS)


@pytest.fixture
def version(directory: Path) -> Iterator[Version]:
    version = Version(directory)
    yield version
    version.end()


def test_init_runs_once_for_all_replicas(version: Version) -> None:
    version.template()
    replicas = [version.replica(ready=False) for _ in range(3)]
    states = [replica.wait_ready().score("state").json() for replica in replicas]
    assert version.log().count("init in") == 1
    assert len({state["loaded"] for state in states}) == 1
    assert {state["parent"] for state in states} == {states[0]["loaded"]}
    assert [state["pid"] for state in states] == [replica.worker_pid() for replica in replicas]
    assert all(state["sockets"] == 1 for state in states)


def test_each_replica_logs_what_its_own_worker_prints(version: Version) -> None:
    version.template()
    first, second = version.replica(), version.replica()
    second.score("print")
    second.wait_log("hello from")
    assert "hello from" not in first.log() + version.log()


def test_a_crashed_worker_is_forked_anew_and_other_replicas_do_not_notice(version: Version) -> None:
    version.template()
    first, second = version.replica("--max-queue-wait-ms", "20000"), version.replica()
    undisturbed = second.worker_pid()
    assert first.score("segfault").status_code == 502
    assert first.score("state").json()["parent"] == second.score("state").json()["parent"]
    assert second.worker_pid() == undisturbed
    first.wait_log("SIGSEGV")


def test_a_worker_dies_with_its_front_and_no_other(version: Version) -> None:
    version.template()
    first, second = version.replica(), version.replica()
    states = [first.score("state").json(), second.score("state").json()]
    first.process.kill()
    wait_until(lambda: not is_alive(states[0]["pid"]), "the worker's end")
    assert second.score("state").json() == states[1]


def test_a_worker_that_holds_its_interpreter_dies_with_its_front_without_a_zygote(version: Version) -> None:
    version.template()
    replica = version.replica()
    state = replica.score("state").json()
    with contextlib.suppress(Exception):
        replica.client.post("/score", content="hold", timeout=0.2)
    os.kill(state["parent"], signal.SIGKILL)
    replica.process.kill()
    wait_until(lambda: not is_alive(state["pid"]), "the worker's end")


def test_when_the_zygote_is_killed_replicas_serve_on_and_new_ones_start_by_themselves(version: Version) -> None:
    keeper = version.template()
    replica = version.replica("--max-queue-wait-ms", "20000")
    state = replica.score("state").json()
    os.kill(state["parent"], signal.SIGKILL)
    keeper.wait(HANG_SECONDS)
    assert replica.score("state").json()["pid"] == state["pid"]
    other = version.replica()
    assert other.score("state").json()["loaded"] == other.worker_pid()
    assert replica.score("exit").status_code == 502
    assert replica.score("state").json()["loaded"] == replica.worker_pid()


def test_killed_in_the_middle_of_init_it_leaves_replicas_to_run_init_themselves(version: Version) -> None:
    keeper = version.template(
        "import os, time\n"
        "def init():\n    while not os.path.exists('go'): time.sleep(0.01)\n"
        "def run(data): return data\n"
    )
    replica = version.replica(ready=False)
    wait_until(lambda: replica.health() == 503, "the server's first answer")
    keeper.kill()
    (version.directory / "go").touch()
    assert replica.wait_ready().score("x").json() == "x"
    wait_until(lambda: "init() runs here" in replica.log() or "has ended" in replica.log(), "the reason in the log")


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()", "poller"),
        ("globals().update(pair=socket.socketpair())", "network connections"),
    ],
)
def test_where_a_fork_is_not_safe_replicas_start_by_themselves_and_say_why(
    version: Version, init: str, reason: str
) -> None:
    version.template(f"import os, socket, threading\ndef init():\n    {init}\ndef run(data): return os.getppid()\n")
    for _ in range(2):
        replica = version.replica()
        assert replica.score("x").json() == replica.process.pid
        assert re.search(
            f"preloading is off, each new worker runs init\\(\\) itself.*{reason}",
            replica.wait_log("preloading is off"),
        )


def test_a_failing_init_fails_each_replica_with_its_own_error(version: Version) -> None:
    version.template("def init(): raise RuntimeError('no model')\ndef run(data): pass\n")
    replica = version.replica(ready=False)
    assert replica.wait_exit() == 3
    assert "RuntimeError: no model" in replica.log()


def test_it_ends_with_its_last_replica(version: Version) -> None:
    keeper = version.template()
    replicas = [version.replica(), version.replica()]
    loaded = replicas[0].score("state").json()["loaded"]
    replicas[0].terminate()
    assert replicas[0].wait_exit() == 0
    assert replicas[1].score("x").json() == "x"
    replicas[1].terminate()
    assert replicas[1].wait_exit() == 0
    assert keeper.wait(HANG_SECONDS) == 0
    assert not is_alive(loaded)
    assert not version.socket.exists()


def test_its_socket_is_its_owners_alone_and_bad_orders_cost_only_their_sender(version: Version) -> None:
    version.template()
    replica = version.replica()
    assert version.socket.stat().st_mode & 0o777 == 0o600
    for order in (b"\xff" * 5, b"\x01", b"\x01\x00\x00\x00\x00", b"\x02" + replica.worker_pid().to_bytes(4, "little")):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(version.socket))
            client.sendall(order)
    assert version.replica().score("x").json() == replica.score("x").json() == "x"


def test_replicas_share_the_memory_of_the_model(version: Version) -> None:
    script = "def init():\n    global model\n    model = bytearray(100_000_000)\ndef run(data): return len(model)\n"
    version.template(script)
    replicas = [version.replica() for _ in range(3)]
    assert {replica.score("x").json() for replica in replicas} == {100_000_000}
    assert sum(proportional_bytes(replica.worker_pid()) for replica in replicas) < 110_000_000


def test_a_further_replica_does_not_wait_for_init(version: Version) -> None:
    script = """
        import os, time
        def init():
            if os.path.exists("loaded"):
                time.sleep(600)
            open("loaded", "w").close()
        def run(data): return data
    """
    version.template(script)
    version.replica()
    assert version.replica().score("x").json() == "x"


def test_what_run_gets_is_batched_in_forked_workers_too(version: Version) -> None:
    version.template("batching = True\ndef init(): pass\ndef run(data): return data\n")
    assert version.replica().score("x").json() == "x"


def test_a_front_whose_supervisor_fails_ends_at_once(version: Version) -> None:
    """One that can neither serve nor end would leave its endpoint Transitioning for ever."""
    (version.directory / "score.py").write_text("def init(): pass\ndef run(data): return data\n")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(version.socket))
        listener.listen()
        replica = version.replica(ready=False)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(PREFIX.pack(FORKED, 0, 0, 0) * 2)  # no zygote answers an order twice
            assert replica.wait_exit() == INTERNAL_ERROR
    assert "the supervisor of the worker has failed" in replica.log()


def test_descriptors_of_an_order_that_is_cut_short_are_closed(version: Version) -> None:
    version.template()
    worker = version.replica().worker_pid()
    status = Path(f"/proc/{worker}/status").read_text()
    parent = int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid")))

    def held() -> int:
        return len(list(Path(f"/proc/{parent}/fd").iterdir()))

    before = held()
    with Path("/dev/null").open("rb") as nothing:
        for _ in range(5):
            with socket.socket(socket.AF_UNIX) as front:
                front.connect(str(version.socket))
                socket.send_fds(front, [b"\1"], [nothing.fileno()] * 4)
                front.recv(1000)
    wait_until(lambda: held() <= before, "all descriptors are closed")
