"""Requests that kill workers are remembered, refused and forgotten; in pure form and against a replica."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

from mljupyter.scoring.server.quarantine import ENTRIES, SECONDS, Quarantine
from tests.scoring.conftest import Replica, is_alive
from tests.scoring.test_worker_death import DEADLY
from tests.waiting import wait_until

Serve = Callable[..., Replica]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def charge(quarantine: Quarantine, body: bytes, times: int = 1, head: bytes = b"") -> list[bool]:
    return [quarantine.charge(head, (body,), len(body)) for _ in range(times)]


def refuses(quarantine: Quarantine, body: bytes, head: bytes = b"") -> bool:
    return quarantine.refuses(head, (body,), len(body))


def test_the_third_kill_is_one_too_many() -> None:
    quarantine = Quarantine(3)
    assert charge(quarantine, b"bad", 2) == [False, False]
    assert not refuses(quarantine, b"bad")
    assert charge(quarantine, b"bad") == [True]
    assert refuses(quarantine, b"bad")
    assert not refuses(quarantine, b"odd") and not refuses(quarantine, b"other")


def test_a_body_is_the_same_in_whatever_pieces_it_comes() -> None:
    quarantine = Quarantine(1)
    quarantine.charge(b"", (b"ab", b"c"), 3)
    assert quarantine.refuses(b"", (b"a", b"bc"), 3)


def test_method_and_query_count_and_ids_do_not() -> None:
    def head(query: str, request_id: str) -> bytes:
        return json.dumps({"method": "GET", "query": query, "id": request_id, "headers": {"A": request_id}}).encode()

    quarantine = Quarantine(1)
    charge(quarantine, b"", head=head("a=1", "first"))
    assert refuses(quarantine, b"", head("a=1", "second"))
    assert not refuses(quarantine, b"", head("a=2", "first"))
    assert not refuses(quarantine, b"")


def test_it_is_forgotten_after_its_time() -> None:
    clock = Clock()
    quarantine = Quarantine(3, clock)
    charge(quarantine, b"bad", 3)
    clock.now += SECONDS - 1
    assert refuses(quarantine, b"bad")
    clock.now += 2
    assert not refuses(quarantine, b"bad")
    assert charge(quarantine, b"bad") == [False]


def test_kills_far_apart_do_not_add_up() -> None:
    clock = Clock()
    quarantine = Quarantine(3, clock)
    for _ in range(5):
        assert charge(quarantine, b"bad") == [False]
        clock.now += SECONDS + 1


def test_memory_is_bounded_and_the_latest_are_kept() -> None:
    quarantine = Quarantine(2)
    for number in range(ENTRIES * 3):
        charge(quarantine, b"%04d" % number)
    assert charge(quarantine, b"0000") == [False]
    assert charge(quarantine, b"%04d" % (ENTRIES * 3 - 1)) == [True]


def test_zero_refuses_nothing() -> None:
    quarantine = Quarantine(0)
    assert charge(quarantine, b"bad", 9) == [False] * 9
    assert not refuses(quarantine, b"bad")


def test_a_request_that_has_killed_three_workers_reaches_no_fourth(serve: Serve) -> None:
    replica = serve(DEADLY, "--max-queue-wait-ms", "20000")
    for _ in range(3):
        assert replica.score("exit").status_code == 502
        assert replica.score("fine").json() == "fine"
    worker, restarts = replica.worker_pid(), replica.state()["worker_restarts"]
    for _ in range(5):
        refused = replica.score("exit")
        assert refused.status_code == 502
        assert "refused" in refused.json()["message"]
        assert "x-mlj-busy" not in refused.headers
    assert replica.score("fine").json() == "fine"
    state = replica.state()
    assert (state["worker_pid"], state["worker_restarts"], state["quarantined"]) == (worker, restarts, 5)
    assert replica.score("exit 2").json()["message"].startswith("the worker process ended")


def test_an_idle_workers_death_is_no_requests_fault(serve: Serve) -> None:
    replica = serve(DEADLY, "--max-queue-wait-ms", "20000", "--quarantine-after", "1")
    assert replica.score("fine").status_code == 200
    worker = replica.worker_pid()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not is_alive(worker), what="the worker's death")
    assert replica.score("fine").status_code == 200


def test_runs_over_the_time_limit_are_not_quarantined(serve: Serve) -> None:
    flags = ("--scoring-timeout-ms", "50", "--max-queue-wait-ms", "20000", "--quarantine-after", "1")
    replica = serve(DEADLY, *flags)
    assert [replica.score("sleep 30").status_code for _ in range(3)] == [504] * 3
