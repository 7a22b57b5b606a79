"""Requests run in the order in which the router received them, also when replicas send them around: in virtual time."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from mljupyter.scoring.configuration import Configuration, parse
from mljupyter.scoring.protocol import ANSWER_HEAD, PREFIX, RAN
from mljupyter.scoring.server.calls import Answer
from mljupyter.scoring.server.dispatcher import Dispatcher

REQUESTS_OF_EACH = 40
LONGEST_PAUSE = 0.025  # of the router before it sends a request again


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        selector: Any = self._selector  # type: ignore[attr-defined] # of the base class
        select = selector.select

        def jump(timeout: float | None = None) -> Any:
            self.now += timeout or 0.0
            return select(0)

        selector.select = jump

    def time(self) -> float:
        return self.now


class Replica:
    """A dispatcher with a worker that takes the same time for each call; `active` is what the router counts."""

    def __init__(self, configuration: Configuration, run: float) -> None:
        self.dispatcher = Dispatcher(configuration, on_stuck=lambda reason: None)
        self.active = 0
        self._run = run
        self.dispatcher.attach(self, batching=False)

    def write(self, data: bytes) -> bool:
        _, number, _, _ = PREFIX.unpack_from(data)
        head = ANSWER_HEAD.pack(200, RAN, self._run)
        asyncio.get_running_loop().call_later(self._run, self.dispatcher.answer, number, head, b"1")
        return True

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    async def answer(self, start_ms: float) -> Answer:
        self.active += 1
        later: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        found = self.dispatcher.submit(b"", (b"x",), 1, start_ms, later.set_result) or await later
        self.active -= 1
        return found


async def longest(connections: int, replicas: list[Replica], chance: random.Random) -> float:
    """Return the longest time of a request, if each connection sends one after the other through a router."""
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def client() -> None:
        for _ in range(REQUESTS_OF_EACH):
            began = loop.time()
            while True:
                replica = min(replicas, key=lambda one: (one.active, chance.random()))
                answer = await replica.answer(began * 1000)
                if answer.status == 200:
                    break
                assert answer.busy
                await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE))
            times.append(loop.time() - began)

    await asyncio.gather(*(client() for _ in range(connections)))
    return max(times)


@pytest.mark.parametrize(("connections", "replicas", "run"), [(8, 1, 0.05), (8, 2, 0.05), (64, 1, 0.005), (8, 1, 0.3)])
def test_a_request_waits_for_those_before_it_and_no_others(
    connections: int, replicas: int, run: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def measured() -> float:
        monkeypatch.setattr(time, "time", asyncio.get_running_loop().time)
        configuration = parse(["--entry-script", "score.py", "--max-queue-wait-ms", "60000"], {})
        found = [Replica(configuration, run) for _ in range(replicas)]
        return await longest(connections, found, random.Random(1))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(measured()) == pytest.approx(run * connections / replicas, rel=0.02)
