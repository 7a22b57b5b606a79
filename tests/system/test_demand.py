"""What the real router tells of the demand, and how the controller reads it."""

from __future__ import annotations

import threading

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


async def test_short_requests_between_two_looks_are_counted_with_the_time_they_took(
    machine: Machine, gated: str
) -> None:
    admin = LocalHttp(f"unix:{Layout.of(machine.directory).router_admin_socket()}", timeout=HANG_SECONDS)
    reader, cluster = DemandReader(admin), f"{NAME}.{NAME}"
    before = (await reader.read({cluster: 100}))[cluster]
    with httpx.Client() as client:
        for _ in range(50):
            assert client.post(gated, content=b"x").status_code == 200
    readings = [(await reader.read({cluster: 100}))[cluster] for _ in range(3)]
    after = next(reading for reading in readings if reading.count - before.count == 50)
    again = (await reader.read({cluster: 100}))[cluster]
    await admin.close()
    assert after.present == 0
    assert 0.1 <= after.seconds <= after.time - before.time
    assert 0 < demand([before, after]) <= 1
    assert asked([before, after])
    assert not asked([after, again])
    assert (again.count, again.seconds) == (after.count, after.seconds)


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
    for _ in range(500):
        if busy := await reader.busy():
            break
    assert len(busy) == 1
    for thread in threads[1:]:
        thread.start()
    for _ in range(200):
        seen.append((await reader.read({cluster: 100}))[cluster])
        if seen[-1].again >= 3 and seen[-1].present == 6:
            break
    assert len(await reader.busy()) == 2
    (machine.directory / "gate").touch()
    wait_until(lambda: len(answers) == 6, "all are answered")
    await admin.close()
    assert answers == [200] * 6
    assert max(reading.present for reading in seen) == 6
    assert max(reading.again for reading in seen) >= 3, "some were tried again"
