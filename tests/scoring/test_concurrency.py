"""Exact concurrency, the short queue, the busy answer, and health while user code holds the interpreter."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.scoring.conftest import Replica, now_ms
from tests.waiting import HANG_SECONDS, promised, wait_until

Serve = Callable[..., Replica]

COUNTING = """
import threading, time
lock = threading.Lock()
now = most = 0
def init(): pass
def run(data):
    global now, most
    if data == "most":
        return most
    with lock:
        now += 1
        most = max(most, now)
    time.sleep(float(data))
    with lock:
        now -= 1
    return threading.current_thread().name
"""

# A body that is a path: the run lasts until there is a file.
COUNTER = """
import os, time
count = 0
def init(): pass
def run(data):
    global count
    count += 1
    turn = count
    while data.startswith("/") and not os.path.exists(data):
        time.sleep(0.01)
    return turn
"""


def in_background(replica: Replica, body: str, **headers: str) -> tuple[threading.Thread, list[httpx.Response]]:
    def begun() -> int:
        state = replica.state()
        return sum(state[name] for name in ("running", "completed", "failed"))

    answers: list[httpx.Response] = []
    before = begun()
    thread = threading.Thread(target=lambda: answers.append(replica.score(body, **headers)))
    thread.start()
    wait_until(lambda: begun() > before, what="the start of run()")
    return thread, answers


@pytest.mark.parametrize("concurrency", [1, 3])
def test_never_more_calls_at_once_than_allowed_and_no_fewer_than_possible(serve: Serve, concurrency: int) -> None:
    replica = serve(COUNTING, "--concurrency", str(concurrency), "--max-queue-wait-ms", "20000")
    with ThreadPoolExecutor(20) as clients:
        sent = [clients.submit(replica.score, "0.02") for _ in range(60)]
        while not all(future.done() for future in sent):
            assert replica.state()["running"] <= concurrency
    assert {future.result().status_code for future in sent} == {200}
    assert replica.score("most").json() == concurrency
    state = replica.state()
    assert (state["completed"], state["failed"], state["running"], state["waiting"]) == (61, 0, 0, 0)
    assert state["run_seconds_sum"] >= 60 * 0.02


@pytest.mark.alone
def test_a_routed_request_gets_busy_at_once_when_all_are_busy(serve: Serve, tmp_path: Path) -> None:
    replica = serve(COUNTER)
    go = tmp_path / "go"
    thread, answers = in_background(replica, str(go), x_mlj_start=now_ms())
    start = time.monotonic()
    refused = replica.score("0", x_mlj_start=now_ms())
    assert time.monotonic() - start < promised(0.3)
    assert refused.status_code == 503
    assert refused.headers["x-mlj-busy"] == "1"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-request-id"]
    go.touch()
    thread.join()
    assert answers[0].status_code == 200


def test_a_routed_request_over_its_time_gets_a_final_503_but_only_if_it_has_to_wait(
    serve: Serve, tmp_path: Path
) -> None:
    replica = serve(COUNTER, "--max-queue-wait-ms", "500")
    go = tmp_path / "go"
    assert replica.score("0", x_mlj_start=now_ms(age_ms=60_000)).status_code == 200
    thread, _ = in_background(replica, str(go))
    refused = replica.score("0", x_mlj_start=now_ms(age_ms=600))
    assert refused.status_code == 503
    assert "x-mlj-busy" not in refused.headers
    assert refused.headers["retry-after"] == "1"
    go.touch()
    thread.join()


def test_routed_requests_for_a_quick_run_wait_in_the_short_queue(serve: Serve) -> None:
    replica = serve("def init(): pass\ndef run(data): return data\n")
    for _ in range(20):
        replica.score("warm")
    statuses = []
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        for raw in (first, second):
            raw.settimeout(HANG_SECONDS)
            raw.connect(str(replica.socket))
        for _ in range(200):
            request = f"POST /score HTTP/1.1\r\nhost: x\r\nx-mlj-start: {now_ms()}\r\ncontent-length: 1\r\n\r\n0"
            for raw in (first, second):  # at one stroke, so that the second finds the first one running
                raw.sendall(request.encode())
            statuses += [raw.recv(65536)[:12] for raw in (first, second)]
    assert statuses.count(b"HTTP/1.1 200") > 300
    assert set(statuses) <= {b"HTTP/1.1 200", b"HTTP/1.1 503"}


@pytest.mark.alone
def test_a_queued_routed_request_is_sent_on_when_the_call_before_it_turns_out_slow(serve: Serve) -> None:
    replica = serve(COUNTING)
    for _ in range(50):
        replica.score("0")
    with socket.socket(socket.AF_UNIX) as slow, socket.socket(socket.AF_UNIX) as after:
        for raw in (slow, after):
            raw.connect(str(replica.socket))
        head = f"POST /score HTTP/1.1\r\nhost: x\r\nx-mlj-start: {now_ms()}\r\ncontent-length: 3\r\n\r\n"
        # At one stroke: when the second arrives, nothing shows yet that the first will take long.
        slow.sendall(f"{head}0.4".encode())
        after.sendall(f"{head}0.0".encode())
        start = time.monotonic()
        refusal = after.recv(65536)
        assert 0.01 < time.monotonic() - start < promised(0.5)
        assert refusal.startswith(b"HTTP/1.1 503") and b"x-mlj-busy: 1" in refusal
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.alone
def test_without_a_router_requests_queue_up_to_the_limit_and_no_longer(serve: Serve, tmp_path: Path) -> None:
    limit = 0.3 * promised(1)
    replica = serve(COUNTER, "--max-queue-wait-ms", str(round(limit * 1000)))
    go, later = tmp_path / "go", tmp_path / "later"
    thread, _ = in_background(replica, str(go))
    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(replica.score, "0")
        wait_until(lambda: replica.state()["waiting"] == 1, what="a waiting request")
        go.touch()
        assert waiting.result().status_code == 200
    thread.join()
    thread, _ = in_background(replica, str(later))
    start = time.monotonic()
    refused = replica.score("0")
    assert limit - 0.02 < time.monotonic() - start < limit + promised(0.6)
    assert refused.status_code == 503
    assert "x-mlj-busy" not in refused.headers
    assert refused.headers["retry-after"] == "1"
    later.touch()
    thread.join()


HOLD_INTERPRETER = """
import ctypes
def init(): pass
def run(data):
    ctypes.PyDLL(None).usleep(3_000_000)  # PyDLL keeps the interpreter lock
    return "done"
"""


@pytest.mark.alone  # a promise of 250 ms
def test_health_answers_while_user_code_holds_the_interpreter(serve: Serve) -> None:
    replica = serve(HOLD_INTERPRETER)
    thread, answers = in_background(replica, "")
    slowest, asked = 0.0, 0
    while replica.state()["running"]:
        start = time.monotonic()
        assert replica.health() == 200
        slowest, asked = max(slowest, time.monotonic() - start), asked + 1
        time.sleep(0.005)
    thread.join()
    assert answers[0].json() == "done"
    assert asked > 50
    assert slowest < promised(0.25)


def test_a_request_that_was_sent_around_is_run_before_later_ones(serve: Serve, tmp_path: Path) -> None:
    replica = serve(COUNTER, "--max-queue-wait-ms", "60000")
    go = tmp_path / "go"
    first, _ = in_background(replica, str(go), x_mlj_start=now_ms())
    large = "0" + " " * 4_000_000  # may stay for a second
    with ThreadPoolExecutor(2) as clients:
        later = clients.submit(replica.score, large, x_mlj_start=now_ms(age_ms=100))
        wait_until(lambda: replica.state()["waiting"] == 1, what="the later one waits")
        earlier = clients.submit(replica.score, large, x_mlj_start=now_ms(age_ms=10_000))
        wait_until(lambda: replica.state()["waiting"] == 2, what="the earlier one waits, too")
        go.touch()
        assert (earlier.result().json(), later.result().json()) == (2, 3)
    first.join()


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_was_set_sends_no_request_away(serve: Serve, hours: int, tmp_path: Path) -> None:
    replica = serve(COUNTER, "--max-queue-wait-ms", "60000")
    go = tmp_path / "go"
    first, _ = in_background(replica, str(go), x_mlj_start=now_ms())
    with ThreadPoolExecutor(1) as clients:
        large = "0" + " " * 4_000_000
        waiting = clients.submit(replica.score, large, x_mlj_start=now_ms(age_ms=hours * 3_600_000))
        wait_until(lambda: waiting.done() or replica.state()["waiting"] == 1, what="it waits")
        go.touch()
        assert (waiting.result().status_code, waiting.result().text) == (200, "2")
    first.join()
