"""Logs followed while replicas and controllers come and go."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from mljupyter.client.errors import EndpointNotFoundError
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
TALKATIVE = """
import os
def init():
    print("started", os.getpid())
def run(data):
    print("asked", data)
    return 1
"""


class Follower:
    """Follows a log in a thread and keeps what comes."""

    def __init__(self, lines: Callable[[], Iterator[str]]) -> None:
        self.lines: list[str] = []
        self.ended: queue.Queue[Exception | None] = queue.Queue()
        threading.Thread(target=self._run, args=(lines,), daemon=True).start()

    def _run(self, lines: Callable[[], Iterator[str]]) -> None:
        try:
            for line in lines():
                self.lines.append(line)
            self.ended.put(None)
        except Exception as error:
            self.ended.put(error)

    def wait_for(self, text: str, count: int = 1) -> None:
        def found() -> int:
            return sum(text in line for line in self.lines)

        wait_until(lambda: found() >= count, f"{count} lines with {text!r}")
        assert found() == count


def test_following_goes_on_over_replicas_and_controllers_and_ends_with_the_endpoint(machine: Machine) -> None:
    record = machine.healthy(machine.spec("talk", TALKATIVE, scaling={"replicas": 2}))
    uri = str(record.status.scoring_uri)
    follower = Follower(lambda: machine.client.follow_logs("talk", lines=1000))
    follower.wait_for("started", 2)
    httpx.post(uri, content="first")
    follower.wait_for("asked first")

    os.kill(min(machine.replicas()), signal.SIGKILL)
    follower.wait_for("started", 3)  # the replica that takes its place

    (controller,) = machine.controllers()
    os.kill(controller, signal.SIGKILL)
    httpx.post(uri, content="second")
    follower.wait_for("asked second")
    wait_until(lambda: machine.controllers() and controller not in machine.controllers(), "a new controller")

    machine.client.stop()  # a follower does not start what was stopped
    httpx.post(uri, content="third")
    machine.client.ensure()
    follower.wait_for("asked third")
    assert machine.client.logs("talk").count("started") == 3, "the one that was killed still shows its log"

    machine.client.delete("talk")
    assert follower.ended.get(timeout=HANG_SECONDS) is None
    assert len(follower.lines) == len(set(follower.lines)), "no line comes twice"


def test_an_endpoint_that_is_not_there_cannot_be_followed(machine: Machine) -> None:
    with pytest.raises(EndpointNotFoundError):
        next(machine.client.follow_logs("nobody"))
