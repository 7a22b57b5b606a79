"""A rollout's guard judges only what the router measures from its step on; endpoints without a rollout cost nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from mljupyter.controller.endpoints.rollouts import Rollouts
from mljupyter.controller.endpoints.supervisor import Supervisor
from mljupyter.controller.storage.store import Store
from mljupyter.engine.rollout import canary
from mljupyter.engine.rollout.request_counts import RequestCounts
from mljupyter.spec import EndpointSpec, EndpointStatus, RolloutPlan, VersionSpec
from tests.fakes.clock import on_fake_clock, until


class Readings:
    """Statistics of the router, one reading after the other; the last one stays."""

    def __init__(self, *readings: RequestCounts) -> None:
        self._left = list(readings)

    async def counts(self, cluster: str) -> RequestCounts:
        return self._left.pop(0) if len(self._left) > 1 else self._left[0]


class NoReplicas:
    """The supervisor of endpoints without replicas."""

    def of(self, endpoint: str) -> list[object]:
        return []


def counted(requests: int, timed: int) -> RequestCounts:
    return RequestCounts(requests, 0, {(10.0, 1.0): timed})


@pytest.mark.parametrize(
    ("readings", "start"),
    [
        pytest.param([counted(20, 20), counted(21, 21)], counted(20, 20), id="all are there at once"),
        pytest.param([counted(20, 0), counted(20, 10), counted(20, 20)], counted(20, 20), id="some come later"),
        pytest.param([counted(20, 17), counted(21, 19), counted(23, 21)], counted(23, 21), id="others come meanwhile"),
        pytest.param([counted(20, 15)], counted(20, 15), id="the router has answered five itself"),
    ],
)
@on_fake_clock
async def test_latencies_of_requests_before_the_step_are_waited_for(
    readings: list[RequestCounts], start: RequestCounts, tmp_path: Path
) -> None:
    rollouts = Rollouts(
        store=Store(tmp_path / "endpoints.db"),
        statistics=Readings(*readings),
        supervisor=cast("Supervisor", None),
        changed=lambda name: None,
        notify=lambda: None,
    )
    assert await rollouts.reported_at_start("iris", "b") == start


@on_fake_clock
async def test_only_endpoints_with_a_rollout_are_looked_at(tmp_path: Path) -> None:
    store = Store(tmp_path / "endpoints.db")
    for name in (f"endpoint-{index}" for index in range(20)):
        spec = EndpointSpec(name=name, versions={"one": VersionSpec(image="i:1")}, default_version="one")
        store.put(spec, EndpointStatus(), None)
    rollouts = Rollouts(
        store=store,
        statistics=Readings(counted(0, 0)),
        supervisor=cast("Supervisor", NoReplicas()),
        changed=lambda name: None,
        notify=lambda: None,
    )
    running = asyncio.create_task(rollouts.run())
    for index in range(20):
        rollouts.wake(f"endpoint-{index}")
        await asyncio.sleep(1)
    assert rollouts.endpoints_looked_at == 0
    plan = RolloutPlan(version="one", steps=[10, 50], every_seconds=60)
    rollouts.put("endpoint-3", canary.begin(plan, datetime.now(UTC)), counted(0, 0))
    await until(lambda: rollouts.endpoints_looked_at == 1)
    await asyncio.sleep(5)
    assert rollouts.endpoints_looked_at == 1, "the rollout has ended: its version has no replica"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    store.close()
