"""The autoscaler follows the demand that the router tells. Its clock jumps; runtime and router are fakes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from mljupyter.client.errors import ControllerError
from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.spec import AutoscalePolicy, Resources, Scaling, VersionSpec
from tests.fakes.clock import on_fake_clock, until
from tests.fakes.control_plane import ControlPlane, control_plane
from tests.fakes.runtime import READY, STARTING

IRIS = ("iris", "iris")


def version(*, cpu: float = 0.1, fields: dict[str, Any] | None = None, **policy: int) -> VersionSpec:
    """Return the spec of a version whose replicas run one request at a time and should be busy all the time."""
    wanted = {"min_replicas": 1, "max_replicas": 10, "target_utilization": 100, **policy}
    return VersionSpec(
        image="i:1",
        scaling=Scaling(autoscale=AutoscalePolicy(**wanted)),
        resources=Resources(cpu=cpu, memory_in_gb=0.1),
        **(fields or {}),
    )


async def deployed(plane: ControlPlane, spec: VersionSpec) -> None:
    plane.put({"iris": spec})
    await plane.healthy("iris")


def running(plane: ControlPlane) -> int:
    return len(plane.runtime.running("iris"))


@on_fake_clock
async def test_a_step_of_load_is_answered_within_a_second(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version())
        await asyncio.sleep(30)
        assert running(plane) == 1
        plane.router.present[IRIS] = 4
        await until(lambda: running(plane) == 4, within=1.0)
        await plane.healthy("iris")
        assert set(plane.router.version("iris").addresses) == plane.addresses(plane.runtime.running())
        await asyncio.sleep(10)
        assert running(plane) == 4


@on_fake_clock
async def test_there_are_never_more_replicas_than_the_policy_allows(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version(max_replicas=3))
        plane.router.present[IRIS] = 50
        await asyncio.sleep(30)
        assert running(plane) == 3


@on_fake_clock
async def test_replicas_go_when_a_whole_window_needed_fewer(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version(scale_down_seconds=60))
        plane.router.present[IRIS] = 8
        await until(lambda: running(plane) == 8)
        await asyncio.sleep(70)
        plane.router.present[IRIS] = 0
        stopped = time.monotonic()
        await until(lambda: running(plane) < 8, within=120)
        assert time.monotonic() - stopped == pytest.approx(60, abs=3)
        await until(lambda: running(plane) == 1, within=30)
        await asyncio.sleep(60)
        assert running(plane) == 1


@on_fake_clock
async def test_a_busy_replica_outlives_an_idle_one_when_there_are_too_many(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version(scale_down_seconds=20))
        plane.router.present[IRIS] = 3
        await until(lambda: running(plane) == 3)
        await plane.healthy("iris")
        newest = plane.runtime.running()[-1]
        plane.router.working.add(newest.running.address)  # it would be the first one to go
        plane.router.present[IRIS] = 0
        await until(lambda: running(plane) == 1, within=200)
        assert plane.runtime.running() == [newest]


@on_fake_clock
async def test_each_decision_is_written_down_with_its_reason(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version())
        plane.router.present[IRIS] = 4
        await until(lambda: running(plane) == 4)
        (decision,) = plane.store.scaling.of("iris")
        assert (decision.version, decision.before, decision.after, decision.admitted) == ("iris", 1, 4, 4)
        assert (decision.demand, decision.needed) == (4.0, 4)
        assert "4.0 requests run or wait" in decision.reason


@on_fake_clock
async def test_a_lack_of_room_limits_the_replicas_and_stands_in_the_decision(short_path: Path) -> None:
    async with control_plane(short_path, prepare=lambda it: setattr(it, "machine", Capacity(2, 64, "m"))) as plane:
        await deployed(plane, version(cpu=1))
        plane.router.present[IRIS] = 4
        await until(lambda: running(plane) == 2)
        await asyncio.sleep(30)
        assert running(plane) == 2
        decision = plane.store.scaling.of("iris")[0]
        assert (decision.after, decision.admitted) == (4, 2)
        assert plane.status("iris").state == "Healthy", "it has all replicas that it should always have"
        problem = plane.version("iris").problem
        assert problem is not None
        assert problem.code == "Unschedulable"


@pytest.mark.parametrize("looked_before", [True, False])
@on_fake_clock
async def test_endpoints_that_live_for_a_moment_leave_their_room_to_others(
    short_path: Path, looked_before: bool
) -> None:
    async with control_plane(short_path, prepare=lambda it: setattr(it, "machine", Capacity(2, 64, "m"))) as plane:
        if looked_before:
            await asyncio.sleep(5)
        for number in range(4):
            name = f"short{number}"
            plane.put({name: version(cpu=1)})
            await until(lambda name=name: plane.runtime.running(name))
            plane.delete(name)
            await until(lambda name=name: not plane.runtime.running(name))
        await deployed(plane, version(cpu=1))
        plane.router.present[IRIS] = 2
        await until(lambda: running(plane) == 2)


class TestScaleToZero:
    """The last replica goes when nothing was asked for long enough; the first request starts one."""

    @on_fake_clock
    async def test_a_version_falls_asleep_and_wakes_up(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane, version(min_replicas=0, scale_to_zero_seconds=60))
            began = time.monotonic()
            await until(lambda: running(plane) == 0, within=90)
            assert time.monotonic() - began == pytest.approx(60, abs=3)
            await plane.healthy("iris")
            assert (plane.router.version("iris").addresses, plane.router.version("iris").waiting) == ((), True)
            await asyncio.sleep(600)
            assert running(plane) == 0
            plane.router.present[IRIS] = 1
            await until(lambda: running(plane) == 1, within=0.5)
            await until(lambda: not plane.router.version("iris").waiting)

    @on_fake_clock
    async def test_requests_keep_it_awake_also_where_no_look_sees_one(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane, version(min_replicas=0, scale_to_zero_seconds=60))
            for answered in range(1, 8):
                await asyncio.sleep(50)
                plane.router.finished[IRIS] = answered
                assert running(plane) == 1

    @on_fake_clock
    async def test_a_new_version_stays_until_a_replica_of_it_has_been_ready(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            plane.runtime.health = STARTING
            plane.put({"iris": version(min_replicas=0, scale_to_zero_seconds=60)})
            await until(lambda: running(plane) == 1)
            await asyncio.sleep(70)
            assert running(plane) == 1
            plane.runtime.running()[0].health = READY
            await plane.healthy("iris")
            await asyncio.sleep(50)
            assert running(plane) == 1, "the time without requests counts from when it can answer some"
            await until(lambda: running(plane) == 0, within=20)

    @on_fake_clock
    async def test_a_version_that_is_sent_copies_stays_awake(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            mirror = version(min_replicas=0, scale_to_zero_seconds=60, fields={"mirror_percentile": 10})
            plane.put({"iris": version(), "iris-b": mirror})
            await plane.healthy("iris")
            await asyncio.sleep(600)
            assert len(plane.runtime.running("iris", "iris-b")) == 1


@on_fake_clock
async def test_nothing_is_decided_without_the_router(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version(min_replicas=0, scale_to_zero_seconds=60))
        plane.router.up = False
        await asyncio.sleep(300)
        assert running(plane) == 1
        plane.router.up = True
        plane.router.present[IRIS] = 3
        await until(lambda: running(plane) == 3, within=3)


@on_fake_clock
async def test_a_router_that_does_not_answer_pauses_decisions_and_ends_none(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version())
        plane.router.present[IRIS] = 3
        plane.router.demand_failure = ControllerError("the router does not answer.")
        await asyncio.sleep(30)
        assert running(plane) == 1
        plane.router.demand_failure = None
        await until(lambda: running(plane) == 3, within=5)


@on_fake_clock
async def test_a_restarted_controller_begins_with_the_replicas_there_are(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version(scale_down_seconds=60))
        plane.router.present[IRIS] = 5
        await until(lambda: running(plane) == 5)
        await plane.healthy("iris")
        await plane.leave()
        later = ControlPlane(short_path / "endpoints.db", plane.runtime, plane.router, own_processes=True)
        await later.begin()
        await asyncio.sleep(30)
        assert len(plane.runtime.replicas) == 5
        assert running(later) == 5
        await later.leave()


@on_fake_clock
async def test_a_policy_that_is_taken_away_leaves_the_number_of_the_spec(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version())
        plane.router.present[IRIS] = 5
        await until(lambda: running(plane) == 5)
        plane.put({"iris": version().model_copy(update={"scaling": Scaling(replicas=2)})})
        await until(lambda: running(plane) == 2)
        await asyncio.sleep(30)
        assert running(plane) == 2


@on_fake_clock
async def test_versions_with_the_same_period_are_looked_at_together(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        for name in ("iris", "wine", "digits"):
            plane.put({name: version(refresh_seconds=10)})
            await plane.healthy(name)
        await asyncio.sleep(10)
        plane.router.demand_times.clear()
        await asyncio.sleep(50)
        assert len(plane.router.demand_times) == 10, "one question for all of them, twice in a period"


@on_fake_clock
async def test_endpoints_without_a_policy_cost_no_look(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await deployed(plane, version().model_copy(update={"scaling": Scaling(replicas=1)}))
        await asyncio.sleep(60)
        assert plane.router.demand_times == []


NAMES = [f"endpoint-{index}" for index in range(12)]


async def at_rest(plane: ControlPlane, **policy: int) -> None:
    """Return when several autoscaled endpoints have been idle for a while."""
    for name in NAMES:
        plane.put({name: version(**policy)})
        await plane.healthy(name)
    await asyncio.sleep(120)


@on_fake_clock
async def test_versions_at_their_minimum_without_requests_are_not_looked_at(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await at_rest(plane)
        before, read = plane.autoscaler.versions_looked_at, len(plane.router.demand_times)
        await asyncio.sleep(60)
        assert plane.autoscaler.versions_looked_at == before
        assert len(plane.router.demand_times) > read + 50, "the router is read once for all of them"


@on_fake_clock
async def test_a_load_step_after_a_rest_is_answered_within_a_second_and_the_others_rest_on(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await at_rest(plane)
        before = plane.autoscaler.versions_looked_at
        plane.router.present[NAMES[3], NAMES[3]] = 5
        await until(lambda: len(plane.runtime.running(NAMES[3])) == 5, within=1.0)
        assert all(len(plane.runtime.running(name)) == 1 for name in NAMES if name != NAMES[3])
        assert plane.autoscaler.versions_looked_at - before <= 4, "one version, a few times"


@on_fake_clock
async def test_short_requests_between_two_readings_end_a_rest(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await at_rest(plane)

        async def load() -> None:
            while True:
                plane.router.finished[NAMES[3], NAMES[3]] = plane.router.finished.get((NAMES[3], NAMES[3]), 0) + 40
                await asyncio.sleep(0.1)  # 400 requests a second of 10 ms: four run at a time

        loading = asyncio.create_task(load())
        await until(lambda: len(plane.runtime.running(NAMES[3])) >= 4, within=10.0)
        loading.cancel()


@on_fake_clock
async def test_a_version_at_rest_without_replicas_is_woken_by_a_request(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await at_rest(plane, min_replicas=0, scale_to_zero_seconds=60)
        await until(lambda: not plane.runtime.running(NAMES[3]))
        await asyncio.sleep(60)
        plane.router.present[NAMES[3], NAMES[3]] = 1
        await until(lambda: plane.runtime.running(NAMES[3]), within=0.5)
        assert not plane.runtime.running(NAMES[4])


@on_fake_clock
async def test_a_higher_minimum_ends_a_rest(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        await at_rest(plane)
        plane.put({NAMES[3]: version(min_replicas=3)})
        await until(lambda: len(plane.runtime.running(NAMES[3])) == 3, within=2.0)
