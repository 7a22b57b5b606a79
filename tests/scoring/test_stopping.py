"""SIGTERM: nothing new is taken, what runs is finished, and how long that may take."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.scoring.conftest import Replica, is_alive, now_ms
from tests.scoring.test_concurrency import in_background
from tests.scoring.test_worker_death import DEADLY, SLOW
from tests.waiting import promised, wait_until

Serve = Callable[..., Replica]


def test_an_idle_replica_stops_at_once_and_cleans_up(serve: Serve) -> None:
    replica = serve("import atexit\ndef init():\n    atexit.register(print, 'farewell')\ndef run(data): return data\n")
    worker = replica.worker_pid()
    replica.terminate()
    assert replica.wait_exit() == 0
    assert not replica.socket.exists()
    assert not is_alive(worker)
    assert "azmlinfsrv.print | farewell" in replica.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_runs_is_finished_and_what_is_new_is_sent_elsewhere(serve: Serve, number: int) -> None:
    replica = serve(DEADLY)
    thread, answers = in_background(replica, "gate")
    os.kill(replica.process.pid, number)
    wait_until(lambda: replica.health() == 503, what="the drain")
    assert replica.state()["state"] == "draining"
    for headers in ({}, {"x_mlj_start": now_ms()}):
        refused = replica.score("0", **headers)
        assert refused.status_code == 503
        assert refused.headers["x-mlj-busy"] == "1"
        assert refused.headers["connection"] == "close"
    (replica.directory / "go").touch()
    thread.join()
    assert answers[0].status_code == 200
    assert replica.wait_exit() == 0


def test_the_grace_time_ends_what_does_not_finish(serve: Serve) -> None:
    replica = serve(SLOW, "--grace-seconds", "0.3")
    thread, answers = in_background(replica, "30")
    worker = replica.worker_pid()
    start = time.monotonic()
    replica.terminate()
    assert replica.wait_exit() == 1
    assert time.monotonic() - start < promised(4)
    thread.join()
    assert answers[0].status_code == 503
    assert not is_alive(worker)


def test_a_second_signal_does_not_wait(serve: Serve) -> None:
    replica = serve(SLOW)
    thread, answers = in_background(replica, "30")
    replica.terminate()
    wait_until(lambda: replica.health() == 503, what="the drain")
    replica.terminate()
    assert replica.wait_exit() == 1
    thread.join()
    assert answers[0].status_code == 503


def test_a_replica_can_be_stopped_during_init(launch: Serve) -> None:
    replica = launch("import time\ndef init():\n    time.sleep(600)\ndef run(data): pass\n")
    wait_until(lambda: replica.health() == 503, what="an answer while init() runs")
    worker = replica.worker_pid()
    replica.terminate()
    assert replica.wait_exit() == 0
    wait_until(lambda: not is_alive(worker), what="the worker's death")


def test_a_thread_of_the_script_cannot_keep_a_stopped_replica_alive(serve: Serve) -> None:
    script = """
        import threading
        def init():
            threading.Thread(target=threading.Event().wait).start()
        def run(data):
            pass
    """
    replica = serve(script)
    replica.terminate()
    assert replica.wait_exit() == 0


def test_the_socket_is_for_its_owner_only(serve: Serve) -> None:
    assert serve().socket.stat().st_mode & 0o777 == 0o600


def test_a_stale_socket_is_replaced_and_a_live_one_respected(serve: Serve, launch: Serve) -> None:
    first = serve()
    second = launch()
    assert second.wait_exit() == 2
    assert second.process.stdout is not None
    assert b"already listens" in second.process.stdout.read()
    assert first.score("x").status_code == 200
    first.process.kill()
    first.process.wait()
    assert first.socket.exists()
    assert serve().score("again").json() == "again"


def test_a_file_that_is_no_socket_is_left_alone(launch: Serve, directory: Path) -> None:
    (directory / "s").write_text("precious")
    assert launch().wait_exit() == 2
    assert (directory / "s").read_text() == "precious"


def test_a_port_in_use_is_said_and_a_free_one_served(launch: Serve, directory: Path) -> None:
    (directory / "main.py").write_text("def init(): pass\ndef run(data): return data\n")
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        refused = launch(None, "--unix-socket", "", "--port", str(port))
        assert refused.wait_exit() == 2
        assert refused.process.stdout is not None
        assert b"in use" in refused.process.stdout.read()
    launch(None, "--unix-socket", "", "--port", str(port))

    def answer() -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as raw:
                raw.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
                return raw.makefile("rb").read()
        except OSError:
            return b""

    assert json.loads(wait_until(answer, what="an answer on the port").rsplit(b"\r\n", 1)[1]) == "hi"
