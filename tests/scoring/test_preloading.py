"""Workers forked from a process that has run init(): fast, complete, and only where it is safe."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scoring.conftest import Replica, is_alive
from tests.scoring.test_concurrency import in_background
from tests.waiting import promised, wait_until

Serve = Callable[..., Replica]
FLAGS = ("--preload", "--max-queue-wait-ms", "20000")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")

SLOW_START = """
import atexit, ctypes, os, random, sys, threading, time
def init():
    global loaded
    time.sleep(0.7)
    loaded = os.getpid()
    print("init in", loaded)
    atexit.register(print, "farewell")
def run(data):
    if data == "exit":
        os._exit(7)
    if data == "segfault":
        ctypes.string_at(0)
    if data.startswith("sleep"):
        time.sleep(float(data.split()[1]))
    if data == "hold":
        ctypes.PyDLL(None).usleep(600_000_000)
    if data == "random":
        import numpy
        return [random.random(), numpy.random.random()]
    if data == "print":
        print("hello from", os.getpid())
        print("trouble in", os.getpid(), file=sys.stderr)
    if data == "state":
        return {"pid": os.getpid(), "parent": os.getppid(), "loaded": loaded, "group": os.getpgid(0),
                "main": threading.current_thread() is threading.main_thread(),
                "sockets": sum(name.startswith("socket") for name in open_files())}
    return data
def open_files():
    for number in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            pass
"""


@pytest.mark.alone
def test_a_crashed_worker_is_replaced_without_another_init(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS)
    before = replica.score("state").json()
    for data in ("exit", "segfault"):
        answer = replica.score(data)
        assert answer.status_code == 502
        start = time.monotonic()
        assert replica.score("next").json() == "next"
        assert time.monotonic() - start < promised(0.5)
    after = replica.score("state").json()
    assert after["loaded"] == before["loaded"] == after["parent"]
    assert len({before["pid"], after["pid"], after["parent"], replica.process.pid}) == 4
    assert after["group"] == after["pid"] == replica.worker_pid()
    assert after["main"] and after["sockets"] == 1
    assert replica.wait_log("init in").count("init in") == 1
    assert replica.state()["worker_restarts"] == 2


@pytest.mark.alone
def test_a_run_over_the_time_limit_is_replaced_by_a_fork(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS, "--scoring-timeout-ms", "300")
    for _ in range(2):
        assert replica.score("sleep 30").status_code == 504
        start = time.monotonic()
        assert replica.score("next").json() == "next"
        assert time.monotonic() - start < promised(0.8)
    replica.wait_log("in run")  # the stacks of the worker that was killed


def test_what_a_forked_worker_prints_is_logged_under_its_number(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS)
    for _ in range(2):
        worker = replica.worker_pid()
        assert replica.score("print").status_code == 200
        replica.wait_log(f"I [{worker}] azmlinfsrv.print | hello from {worker}\n")
        replica.wait_log(f"W [{worker}] azmlinfsrv.stderr | trouble in {worker}\n")
        replica.score("exit")
        replica.wait_ready()


def test_each_forked_worker_has_random_numbers_of_its_own(serve: Serve) -> None:
    replica = serve("import numpy\n" + SLOW_START, *FLAGS)
    found = []
    for _ in range(3):
        found.append(replica.score("random").json())
        replica.score("exit")
    assert len({pair[0] for pair in found}) == len({pair[1] for pair in found}) == 3


def test_no_process_is_left_when_the_front_is_killed(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS)
    state = replica.score("state").json()
    os.kill(replica.process.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(state["pid"]) and not is_alive(state["parent"]), "the end of all processes")


def test_stopping_ends_the_worker_with_its_exit_handlers_and_the_zygote_without(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS)
    state = replica.score("state").json()
    replica.terminate()
    assert replica.wait_exit() == 0
    assert replica.log().count("farewell") == 1
    wait_until(lambda: not is_alive(state["pid"]) and not is_alive(state["parent"]), "the end of all processes")


def test_what_runs_is_finished_on_sigterm(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS)
    thread, answers = in_background(replica, "sleep 0.5")
    replica.terminate()
    thread.join()
    assert answers[0].status_code == 200
    assert replica.wait_exit() == 0


def test_a_killed_zygote_leaves_its_worker_serving(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS)
    state = replica.score("state").json()
    os.kill(state["parent"], signal.SIGKILL)
    wait_until(lambda: not is_alive(state["parent"]), "the zygote's end")
    replica.wait_log("workers are forked from was killed by SIGKILL")
    assert replica.score("state").json()["pid"] == state["pid"]
    assert replica.score("exit").status_code == 502
    assert replica.score("state").json()["loaded"] not in (state["loaded"], replica.worker_pid())


def test_a_worker_without_its_zygote_can_be_killed_and_dies_with_its_front(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS, "--scoring-timeout-ms", str(round(300 * promised(1))))  # for the other runs
    state = replica.score("state").json()
    os.kill(state["parent"], signal.SIGKILL)
    replica.wait_log("workers are forked from was killed by SIGKILL")
    assert replica.score("sleep 30").status_code == 504
    wait_until(lambda: not is_alive(state["pid"]), "the end of the worker that was stuck")
    after = replica.score("state").json()
    os.kill(after["parent"], signal.SIGKILL)
    replica.process.kill()
    wait_until(lambda: not is_alive(after["pid"]), "the worker's end")


def test_workers_that_never_answer_are_started_without_a_fork_in_the_end(serve: Serve) -> None:
    replica = serve(SLOW_START, *FLAGS, "--quarantine-after", "0")
    for _ in range(4):
        assert replica.score("exit").status_code == 502
    assert replica.score("state").json()["loaded"] == replica.worker_pid()
    replica.wait_log("preloading is off")


def test_the_children_of_a_forked_worker_end_with_it(serve: Serve) -> None:
    script = """
        import os, subprocess
        def init(): pass
        def run(data):
            if data == "exit":
                os._exit(1)
            return subprocess.Popen(["sleep", "600"]).pid
    """
    replica = serve(script, *FLAGS)
    child = replica.score("x").json()
    assert replica.score("exit").status_code == 502
    wait_until(lambda: not is_alive(child), "the end of the worker's child")


def test_threads_and_batches_work_in_forked_workers(serve: Serve) -> None:
    script = "import time\nbatching = True\ndef init(): pass\ndef run(data):\n    time.sleep(1)\n    return data\n"
    replica = serve(script, *FLAGS, "--concurrency", "2")
    threads = [in_background(replica, str(number)) for number in range(2)]
    for thread, _ in threads:
        thread.join()
    assert [answers[0].json() for _, answers in threads] == ["0", "1"]


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()", "threads .* poller"),
        (
            "sys.modules['torch'] = types.SimpleNamespace(cuda=types.SimpleNamespace(is_initialized=lambda: True))",
            "CUDA",
        ),
        ("globals().update(child=subprocess.Popen(['sleep', '60']))", "started processes"),
        ("globals().update(pair=socket.socketpair())", "network connections"),
    ],
)
def test_where_a_fork_is_not_safe_the_process_serves_itself(serve: Serve, init: str, reason: str) -> None:
    script = f"""
        import os, socket, subprocess, sys, threading, types
        def init():
            {init}
        def run(data):
            if data == "exit":
                os._exit(1)
            return os.getppid()
    """
    replica = serve(script, *FLAGS)
    for _ in range(2):
        assert replica.score("x").json() == replica.process.pid
        assert re.search(f"preloading is off.*{reason}", replica.wait_log("preloading is off"))
        assert replica.score("exit").status_code == 502
        replica.wait_ready()


def test_a_failing_init_ends_the_replica_as_without_preloading(launch: Serve) -> None:
    replica = launch("def init(): raise RuntimeError('no model')\ndef run(data): pass\n", *FLAGS)
    assert replica.wait_exit() == 3
    assert "RuntimeError: no model" in replica.log()


def test_zygote_and_worker_share_the_memory_of_the_model(serve: Serve) -> None:
    script = "def init():\n    global model\n    model = bytearray(100_000_000)\ndef run(data): return len(model)\n"
    replica = serve(script, *FLAGS)
    assert replica.score("x").json() == 100_000_000
    worker = replica.worker_pid()
    parent = int(Path(f"/proc/{worker}/stat").read_text().rsplit(")", 1)[1].split()[1])
    assert proportional_bytes(worker) + proportional_bytes(parent) < 140_000_000


def proportional_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
