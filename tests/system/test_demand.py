"""What the real router tells of the demand, and how the controller reads it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest

from mljupyter.controller.layout import Layout
from mljupyter.controller.router.demand import DemandReader
from mljupyter.controller.router.local_http import LocalHttp
from mljupyter.engine.scaling.demand import Reading, asked, demand
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
NAME = "with-dash"
T = TypeVar("T")
GATED = """
    import os, pathlib, time

    def init(): pass

    def run(data):
        while data == "wait" and not pathlib.Path("{}").exists():
            time.sleep(0.01)
        time.sleep(0.002)
        return data
    """


@pytest.fixture
def gated(machine: Machine) -> str:
    spec = machine.spec(
        NAME, GATED.format(machine.directory / "gate"), scaling={"replicas": 2}, limits={"maxQueueWaitMs": 20_000}
    )
    uri = machine.healthy(spec).status.scoring_uri
    assert uri is not None
    return uri


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """Return the first truthy answer."""
    async with asyncio.timeout(HANG_SECONDS):
        while not (answer := await look()):
            await asyncio.sleep(0.01)
        return answer


async def test_short_requests_between_two_looks_are_counted_with_the_time_they_took(
    machine: Machine, gated: str
) -> None:
    admin = LocalHttp(f"unix:{Layout.of(machine.directory).router_admin_socket()}", timeout=HANG_SECONDS)
    reader, cluster = DemandReader(admin), f"{NAME}.{NAME}"
    before = (await reader.read({cluster: 100}))[cluster]
    with httpx.Client() as client:
        for _ in range(50):
            assert client.post(gated, content=b"x").status_code == 200

    async def all_are_read() -> tuple[Reading, Reading] | None:  # their durations may come after their number
        one, next_one = [(await reader.read({cluster: 100}))[cluster] for _ in range(2)]
        assert next_one.count - before.count <= 50
        is_still = (one.count, one.seconds) == (next_one.count, next_one.seconds)
        return (one, next_one) if one.count - before.count == 50 and is_still else None

    after, again = await until(all_are_read)
    await admin.close()
    assert after.present == 0
    assert 0.1 <= after.seconds <= after.time - before.time
    assert 0 < demand([before, after]) <= 1
    assert asked([before, after])
    assert not asked([after, again])


async def test_waiting_requests_are_counted_once_and_busy_replicas_are_identified(machine: Machine, gated: str) -> None:
    admin = LocalHttp(f"unix:{Layout.of(machine.directory).router_admin_socket()}", timeout=HANG_SECONDS)
    reader, cluster = DemandReader(admin), f"{NAME}.{NAME}"
    assert await reader.busy() == frozenset()
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda: answers.append(httpx.post(gated, content=b"wait").status_code))
        for _ in range(6)
    ]
    seen: list[Reading] = []
    threads[0].start()
    assert len(await until(reader.busy)) == 1
    for thread in threads[1:]:
        thread.start()

    async def all_are_there() -> bool:
        seen.append((await reader.read({cluster: 100}))[cluster])
        return seen[-1].again >= 3 and seen[-1].present == 6 and len(await reader.busy()) == 2

    await until(all_are_there)
    (machine.directory / "gate").touch()
    wait_until(lambda: len(answers) == 6, "all are answered")
    await admin.close()
    assert answers == [200] * 6
    assert max(reading.present for reading in seen) == 6
    assert max(reading.again for reading in seen) >= 3, "some were tried again"
