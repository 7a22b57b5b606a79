"""The work queue: keys merge, one at a time each, failures come back later."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from mljupyter.controller.endpoints.workqueue import WorkQueue
from tests.fakes.clock import on_fake_clock
from tests.waiting import HANG_SECONDS


async def run(work: Callable[[WorkQueue, str], Awaitable[None]], *keys: str, until: Callable[[], bool]) -> WorkQueue:
    queue = WorkQueue()
    for key in keys:
        queue.add(key)
    runner = asyncio.create_task(queue.run(lambda key: work(queue, key), lambda key, error: None))
    async with asyncio.timeout(HANG_SECONDS):
        while not until():
            await asyncio.sleep(0.001)
    runner.cancel()
    await asyncio.gather(runner, return_exceptions=True)
    return queue


async def test_equal_keys_merge_while_they_wait() -> None:
    done: list[str] = []

    async def work(_: WorkQueue, key: str) -> None:
        done.append(key)

    await run(work, "a", "a", "b", "a", until=lambda: len(done) >= 2)
    assert sorted(done) == ["a", "b"]


async def test_a_key_added_during_its_work_is_worked_on_once_more_and_never_side_by_side() -> None:
    inside, done = 0, 0

    async def work(queue: WorkQueue, key: str) -> None:
        nonlocal inside, done
        inside += 1
        assert inside == 1
        if done == 0:
            queue.add(key)
            queue.add(key)
        await asyncio.sleep(0.005)
        inside -= 1
        done += 1

    await run(work, "a", until=lambda: done == 2)
    assert done == 2


async def test_different_keys_are_worked_on_side_by_side() -> None:
    both = asyncio.Barrier(2)
    done: list[str] = []

    async def work(_: WorkQueue, key: str) -> None:
        await both.wait()
        done.append(key)

    await run(work, "a", "b", until=lambda: len(done) == 2)


@on_fake_clock
async def test_a_failure_comes_back_after_a_growing_pause_and_holds_up_nobody() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    good: list[str] = []

    async def work(_: WorkQueue, key: str) -> None:
        if key == "good":
            good.append(key)
            return
        times.append(loop.time())
        if len(times) < 4:
            raise ValueError

    queue = await run(work, "bad", "good", until=lambda: len(times) == 4)
    pauses = [later - sooner for sooner, later in zip(times, times[1:], strict=False)]
    assert good == ["good"]
    assert pauses[2] > pauses[1] > pauses[0] > 0.04
    assert queue.failures("bad") in (0, 3)


@on_fake_clock
async def test_of_two_later_times_the_sooner_counts() -> None:
    done: list[float] = []
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def work(queue: WorkQueue, key: str) -> None:
        if key == "start":
            queue.add_after("later", 5)
            queue.add_after("later", 0.02)
            queue.add_after("later", 5)
        else:
            done.append(loop.time() - began)

    await run(work, "start", until=lambda: bool(done))
    assert done[0] < 4
