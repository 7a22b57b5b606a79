"""The death of a worker: the answers to clients, the restart, and the reason in the log."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from tests.scoring.conftest import Replica, is_alive, now_ms
from tests.scoring.test_concurrency import in_background
from tests.waiting import HANG_SECONDS, promised, wait_until

Serve = Callable[..., Replica]
WAIT_MS = str(round(HANG_SECONDS * 1000))

DEADLY = """
import ctypes, os, signal, time
def init(): pass
def run(data):
    if data.startswith("exit"):
        os._exit(7)
    if data == "memory":
        return bytearray(2 ** 62)
    if data == "segfault":
        ctypes.string_at(0)
    if data == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if data.startswith("sleep"):
        time.sleep(float(data.split()[1]))
    if data.startswith("gate"):
        while not os.path.exists("go"):
            time.sleep(0.01)
    return data
"""


@pytest.mark.parametrize(("data", "ending"), [("exit", "exit status 7"), ("segfault", "SIGSEGV"), ("kill", "SIGKILL")])
def test_a_crash_costs_its_own_request_and_a_new_worker_serves(serve: Serve, data: str, ending: str) -> None:
    replica = serve(DEADLY)
    first = replica.worker_pid()
    answer = replica.score(data)
    assert answer.status_code == 502
    assert ending in answer.json()["message"]
    assert answer.headers["x-request-id"]
    assert answer.headers["x-ms-run-function-failed"] == "True"
    replica.wait_ready()
    assert replica.score("next").json() == "next"
    state = replica.state()
    assert state["worker_pid"] != first
    assert (state["worker_restarts"], state["failed"], state["completed"]) == (1, 1, 1)


def test_a_segfault_leaves_its_stack_in_the_log(serve: Serve) -> None:
    replica = serve(DEADLY)
    replica.score("segfault")
    assert "Fatal Python error: Segmentation fault" in replica.wait_log(" in run")


def test_kill_9_of_the_worker_fails_what_runs_and_keeps_what_waits(serve: Serve) -> None:
    replica = serve(DEADLY, "--max-queue-wait-ms", WAIT_MS)
    thread, answers = in_background(replica, "sleep 30")
    with ThreadPoolExecutor(5) as clients:
        waiting = [clients.submit(replica.score, f"w{number}") for number in range(5)]
        wait_until(lambda: replica.state()["waiting"] == 5, what="five waiting requests")
        os.kill(replica.worker_pid(), signal.SIGKILL)
        assert [future.result().json() for future in waiting] == [f"w{number}" for number in range(5)]
    thread.join()
    assert answers[0].status_code == 502
    assert "SIGKILL" in answers[0].json()["message"]


def test_running_out_of_memory_costs_its_own_request_and_no_worker(serve: Serve) -> None:
    replica = serve(DEADLY)
    worker = replica.worker_pid()
    answer = replica.score("memory")
    assert answer.status_code == 500
    assert "MemoryError" in answer.json()["message"]
    assert replica.score("next").json() == "next"
    assert replica.worker_pid() == worker


def test_a_crash_costs_none_of_the_calls_that_ran_beside_it(serve: Serve, directory: Path) -> None:
    replica = serve(DEADLY, "--concurrency", "4", "--max-queue-wait-ms", WAIT_MS)
    with ThreadPoolExecutor(8) as clients:
        neighbours = [clients.submit(replica.score, f"gate {number}") for number in (2, 3, 4)]
        wait_until(lambda: replica.state()["running"] == 3, what="three running calls")
        killer = clients.submit(replica.score, "exit")
        wait_until(lambda: replica.state()["worker_restarts"] > 0, what="the crash")
        (directory / "go").touch()
        later = clients.submit(replica.score, "later")
        assert killer.result().status_code == 502
        assert [future.result().json() for future in neighbours] == ["gate 2", "gate 3", "gate 4"]
        assert later.result().json() == "later"
    state = replica.state()
    assert (state["worker_restarts"], state["failed"], state["completed"]) == (2, 1, 4)


@pytest.mark.alone
def test_calls_are_run_again_one_at_a_time_after_a_crash(serve: Serve, directory: Path) -> None:
    script = """
        import os, time
        def init(): pass
        def run(data):
            seen = os.path.exists(data)
            open(data, 'w').close()
            time.sleep(0.2 if seen else 600)  # the first run of a call lasts until its worker is killed
            return data
    """
    replica = serve(script, "--concurrency", "3", "--max-queue-wait-ms", WAIT_MS)
    with ThreadPoolExecutor(3) as clients:
        running = [clients.submit(replica.score, str(number)) for number in range(3)]
        wait_until(lambda: all((directory / name).exists() for name in "012"), what="the start of three run()")
        os.kill(replica.worker_pid(), signal.SIGKILL)
        start = time.monotonic()
        assert [future.result().json() for future in running] == ["0", "1", "2"]
        assert time.monotonic() - start > 0.6
    with ThreadPoolExecutor(3) as clients:  # and then at once as before
        start = time.monotonic()
        assert {answer.status_code for answer in clients.map(replica.score, "012")} == {200}
        assert time.monotonic() - start < promised(0.5)


def test_a_repeated_call_over_the_time_limit_does_not_hold_up_the_others(serve: Serve) -> None:
    flags = ("--concurrency", "2", "--max-queue-wait-ms", WAIT_MS, "--scoring-timeout-ms", "6000")
    replica = serve(DEADLY, *flags)
    with ThreadPoolExecutor(3) as clients:
        running = [clients.submit(replica.score, body) for body in ("sleep 30", "sleep 1")]
        wait_until(lambda: replica.state()["running"] == 2, what="two running calls")
        os.kill(replica.worker_pid(), signal.SIGKILL)
        assert running[0].result().status_code == 504
        assert replica.score("later").json() == "later"
        assert running[1].result().status_code in (200, 502)


def test_kill_9_of_an_idle_worker_costs_no_request(serve: Serve) -> None:
    replica = serve(DEADLY, "--max-queue-wait-ms", WAIT_MS)
    for _ in range(3):
        assert replica.score("x").status_code == 200
        pid = replica.worker_pid()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not is_alive(pid), what="the worker's death")
        assert replica.score("x").status_code == 200


def test_routed_requests_get_busy_while_the_worker_is_replaced(serve: Serve, directory: Path) -> None:
    script = """
        import os, time
        def init():
            if os.path.exists('started-before'):
                while not os.path.exists('go'):
                    time.sleep(0.01)
            open('started-before', 'w')
        def run(data):
            os._exit(1)
    """
    replica = serve(script)
    assert replica.score("x").status_code == 502
    refused = replica.score("x", x_mlj_start=now_ms())
    assert refused.status_code == 503
    assert refused.headers["x-mlj-busy"] == "1"
    assert "Starting" in refused.json()["message"]
    assert replica.client.get("/").text == "Starting"
    (directory / "go").touch()
    replica.wait_ready()


def test_a_replica_that_replaces_its_worker_is_alive_and_not_healthy(serve: Serve) -> None:
    script = """
        import os, time
        def init():
            if os.path.exists('started-before'):
                time.sleep(600)
            open('started-before', 'w')
        def run(data):
            os._exit(1)
    """
    replica = serve(script)
    assert replica.score("x").status_code == 502
    assert replica.client.get("/").status_code == 503
    alive = replica.client.get("/?alive")
    assert (alive.status_code, alive.text) == (200, "Alive")


def logged_at(replica: Replica, text: str) -> list[float]:
    """Return the times of the log's lines with this text, in seconds."""
    lines = [line for line in replica.log().splitlines() if text in line]
    return [datetime.fromisoformat(line.split()[0]).timestamp() for line in lines]


def test_six_deaths_in_a_row_end_the_replica_with_status_5_and_a_growing_pause(serve: Serve) -> None:
    replica = serve(DEADLY, "--max-queue-wait-ms", WAIT_MS)
    for number in range(6):
        assert replica.score(f"exit {number}").status_code == 502
    assert replica.wait_exit() == 5
    deaths, starts = (logged_at(replica, text) for text in ("; deaths in a row: ", "the scoring script is ready"))
    assert (len(deaths), len(starts)) == (6, 6)
    pauses = [start - death for death, start in zip(deaths, starts[1:], strict=False)]
    assert [pause > least for pause, least in zip(pauses, (0, 0.1, 0.2, 0.4, 0.8), strict=True)] == [True] * 5, pauses
    assert "died 6 times in a row" in replica.log()


def test_a_success_in_between_starts_the_count_anew(serve: Serve) -> None:
    replica = serve(DEADLY, "--max-queue-wait-ms", WAIT_MS)
    for number in range(7):
        assert replica.score(f"exit {number}").status_code == 502
        assert replica.score("fine").status_code == 200
    assert replica.state()["worker_restarts"] == 7


def test_a_restarted_script_that_fails_is_tried_again(serve: Serve) -> None:
    script = """
        import os
        def init():
            starts = len(open('count').read()) if os.path.exists('count') else 0
            open('count', 'a').write('x')
            if starts in (1, 2):
                raise RuntimeError('not yet')
        def run(data):
            if data == 'exit':
                os._exit(1)
            return data
    """
    replica = serve(script, "--max-queue-wait-ms", WAIT_MS)
    assert replica.score("exit").status_code == 502
    assert replica.score("back").json() == "back"
    replica.wait_log("RuntimeError: not yet")


def test_kill_9_of_the_front_leaves_no_worker_even_in_long_user_code(serve: Serve) -> None:
    replica = serve("import ctypes\ndef init(): pass\ndef run(data):\n    ctypes.PyDLL(None).usleep(600_000_000)\n")
    worker = replica.worker_pid()
    outcomes: list[type[BaseException]] = []

    def ask() -> None:
        try:
            replica.score("x")
        except httpx.TransportError as error:
            outcomes.append(type(error))

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: replica.state()["running"] == 1, what="the start of run()")
    os.kill(replica.process.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(worker), "the worker's death")
    thread.join()
    assert len(outcomes) == 1


def test_a_worker_whose_child_keeps_the_socket_is_noticed_and_the_child_ended(serve: Serve) -> None:
    script = """
        import os, time
        def init():
            global child
            child = os.fork()
            if child == 0:
                time.sleep(600)
                os._exit(0)
        def run(data):
            if data == 'exit':
                os._exit(1)
            return child
    """
    replica = serve(script)
    child = replica.score("").json()
    assert replica.score("exit").status_code == 502
    wait_until(lambda: not is_alive(child), what="the end of the worker's child")


SLOW = """
import time
def init(): pass
def run(data):
    time.sleep(float(data))
    return data
"""


@pytest.mark.alone
def test_a_run_over_the_time_limit_is_504_at_once_and_its_worker_replaced(serve: Serve) -> None:
    replica = serve(SLOW, "--scoring-timeout-ms", "300", "--max-queue-wait-ms", WAIT_MS)
    first = replica.worker_pid()
    start = time.monotonic()
    answer = replica.score("30")
    assert 0.28 < time.monotonic() - start < promised(0.8)
    assert answer.status_code == 504
    assert "300 ms" in answer.json()["message"]
    assert replica.score("0").json() == "0"
    assert replica.worker_pid() != first
    assert not is_alive(first)
    replica.wait_log("killed and replaced")
    replica.wait_log("in run")


@pytest.mark.alone  # the stacks come within the second that is left for them
def test_a_worker_that_writes_its_stacks_late_is_killed_after_them(serve: Serve) -> None:
    script = """
        import signal, time
        def init(): pass
        def run(data):
            if data == "late":
                signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
                while signal.SIGUSR1 not in signal.sigpending():
                    time.sleep(0.01)
                time.sleep(0.3)
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
                time.sleep(600)
            return data
    """
    replica = serve(script, "--scoring-timeout-ms", str(round(300 * promised(1))), "--max-queue-wait-ms", WAIT_MS)
    assert replica.score("late").status_code == 504
    assert replica.score("next").json() == "next"
    replica.wait_log("in run")


@pytest.mark.alone  # the first run ends within the milliseconds between the 504 and the worker's death
def test_a_worker_that_is_to_be_killed_gets_no_more_requests(serve: Serve) -> None:
    replica = serve(SLOW, "--scoring-timeout-ms", "300", "--max-queue-wait-ms", WAIT_MS)
    thread, answers = in_background(replica, "0.33")  # ends between the 504 and the worker's death
    assert replica.score("0.2").status_code == 200
    thread.join()
    assert answers[0].status_code == 504


def test_many_timeouts_in_a_row_do_not_end_the_replica(serve: Serve) -> None:
    limit = round(300 * promised(1))
    replica = serve(SLOW, "--scoring-timeout-ms", str(limit), "--max-queue-wait-ms", WAIT_MS)
    assert [replica.score("600").status_code for _ in range(6)] == [504] * 6
    assert replica.score("0").status_code == 200


def test_with_threads_one_timeout_leaves_the_others_running(serve: Serve) -> None:
    replica = serve(SLOW, "--scoring-timeout-ms", "1500", "--concurrency", "2")
    worker = replica.worker_pid()
    thread, answers = in_background(replica, "5")
    assert replica.score("0.1").status_code == 200
    thread.join()
    assert answers[0].status_code == 504
    assert replica.state()["running"] == 1  # the thread cannot be interrupted, so its place stays taken
    assert replica.score("0.1").status_code == 200
    wait_until(lambda: replica.state()["running"] == 0, what="the end of the overlong run()")
    assert replica.worker_pid() == worker


def test_a_client_that_leaves_does_not_cancel_run(serve: Serve, directory: Path) -> None:
    replica = serve(DEADLY)
    with pytest.raises(httpx.ReadTimeout):
        replica.client.post("/score", content="gate", timeout=httpx.Timeout(HANG_SECONDS, read=1))
    wait_until(lambda: replica.state()["running"] == 1, what="the start of run()")
    (directory / "go").touch()
    wait_until(lambda: replica.state()["completed"] == 1, what="the end of run()")
