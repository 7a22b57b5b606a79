"""The reconciler makes what runs equal to what is wanted. Its clock jumps; runtime and router are fakes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from mljupyter.client.errors import ControllerError
from mljupyter.engine.scaling.capacity import Capacity
from mljupyter.spec import LivenessProbe, Problem, Resources, Scaling, VersionSpec
from tests.fakes.clock import on_fake_clock, until
from tests.fakes.control_plane import ControlPlane, control_plane
from tests.fakes.router import FakeRouter
from tests.fakes.runtime import READY, STARTING, FakeReplica


def version(number: int = 1, *, replicas: int = 1, **fields: Any) -> VersionSpec:
    """Return the spec of a version; another number is another revision."""
    return VersionSpec(
        image=f"i:{number}",
        scaling=Scaling(replicas=replicas),
        resources=Resources(cpu=0.1, memory_in_gb=0.1),
        probe=LivenessProbe(period_seconds=10),
        **fields,
    )


async def deployed(plane: ControlPlane, replicas: int = 1) -> list[FakeReplica]:
    """Deploy the endpoint iris; return its replicas when all are ready."""
    plane.put({"iris": version(replicas=replicas)})
    await plane.healthy("iris")
    return plane.runtime.running("iris")


class TestANewEndpoint:
    """Replicas first, then the route, then the state."""

    @on_fake_clock
    async def test_it_gets_requests_when_all_of_its_replicas_are_ready(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            plane.runtime.health = STARTING
            plane.put({"iris": version(replicas=2)})
            await until(lambda: len(plane.runtime.running()) == 2)
            first, second = plane.runtime.running()
            first.health = READY
            await asyncio.sleep(5)
            assert (plane.status("iris").state, plane.version("iris").replicas_ready) == ("Transitioning", 1)
            second.health = READY
            await plane.healthy("iris")
            assert set(plane.router.version("iris").addresses) == plane.addresses([first, second])
            assert plane.router.version("iris").weight == 100

    @on_fake_clock
    async def test_a_replica_that_cannot_start_fails_it_with_the_reason_and_is_not_tried_again(
        self, short_path: Path
    ) -> None:
        async with control_plane(short_path) as plane:
            plane.runtime.health = STARTING
            plane.put({"iris": version()})
            await until(plane.runtime.running)
            plane.runtime.running()[0].end(3)
            await until(lambda: plane.status("iris").state == "Failed")
            await asyncio.sleep(300)
            problem = plane.status("iris").problem
            assert problem is not None
            assert problem.code == "ReplicaStartFailed"
            assert problem.message.endswith("could not start: the scoring script failed.")
            assert problem.last_lines == ["the last line"]
            assert len(plane.runtime.replicas) == 1
            plane.runtime.health = READY
            plane.reconciler.retry("iris")
            plane.put({"iris": version(2)})
            await plane.healthy("iris")

    @on_fake_clock
    async def test_a_target_that_refuses_to_start_a_replica_is_told_as_the_reason(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            plane.runtime.unavailable = "the engine is away"
            plane.put({"iris": version()})
            await until(lambda: plane.status("iris").state == "Failed")
            problem = plane.version("iris").problem
            assert problem is not None
            assert (problem.code, problem.message) == ("ReplicaStartFailed", "the engine is away")

    @on_fake_clock
    async def test_too_little_room_is_told_and_as_many_replicas_start_as_have_some(self, short_path: Path) -> None:
        async with control_plane(short_path, prepare=lambda it: setattr(it, "machine", Capacity(2, 64, "m"))) as plane:
            plane.put({"iris": version(replicas=3).model_copy(update={"resources": Resources(cpu=1)})})
            await until(lambda: plane.status("iris").state == "Unschedulable")
            await asyncio.sleep(30)
            assert len(plane.runtime.running()) == 2
            assert plane.version("iris").problem is not None
            plane.put({"iris": version(replicas=2).model_copy(update={"resources": Resources(cpu=1)})})
            await plane.healthy("iris")
            assert plane.version("iris").problem is None


class TestAnUpdate:
    """Make before break: the old revision keeps its requests until the new one can take them all."""

    @on_fake_clock
    async def test_requests_move_when_all_new_replicas_are_ready_and_the_old_ones_stop_after_that(
        self, short_path: Path
    ) -> None:
        async with control_plane(short_path) as plane:
            old = await deployed(plane, replicas=2)
            plane.runtime.health = STARTING
            plane.put({"iris": version(2, replicas=2)})
            await until(lambda: len(plane.runtime.running()) == 4)
            new = plane.runtime.running()[2:]
            new[0].health = READY
            await asyncio.sleep(5)
            assert set(plane.router.version("iris").addresses) == plane.addresses(old)
            assert not any(replica.stopped for replica in old)
            new[1].health = READY
            await plane.healthy("iris")
            await until(lambda: plane.runtime.running() == new)
            assert set(plane.router.version("iris").addresses) == plane.addresses(new)
            assert all(replica.stopped and not replica.killed for replica in old)

    @on_fake_clock
    async def test_no_replica_stops_before_the_router_follows(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            (old,) = await deployed(plane)
            plane.router.up = False
            plane.put({"iris": version(2)})
            await until(lambda: len(plane.runtime.running()) == 2)
            await asyncio.sleep(120)
            assert not old.stopped
            plane.router.up = True
            await until(lambda: old.stopped, what="it stops when the router is back")

    @on_fake_clock
    async def test_a_revision_that_cannot_start_leaves_the_old_one_serving(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            (old,) = await deployed(plane)
            plane.runtime.health = STARTING
            plane.put({"iris": version(2)})
            await until(lambda: len(plane.runtime.running()) == 2)
            plane.runtime.running()[1].end(3)
            await until(lambda: plane.version("iris").problem)
            await asyncio.sleep(60)
            assert plane.runtime.running() == [old]
            assert set(plane.router.version("iris").addresses) == plane.addresses([old])
            assert plane.version("iris").ready_revision == old.running.revision

    @on_fake_clock
    async def test_the_old_revision_is_restarted_from_its_own_spec_while_the_new_one_cannot_start(
        self, short_path: Path
    ) -> None:
        async with control_plane(short_path) as plane:
            (old,) = await deployed(plane)
            plane.runtime.health = STARTING
            plane.put({"iris": version(2)})
            await until(lambda: len(plane.runtime.running()) == 2)
            plane.runtime.running()[1].end(3)
            await until(lambda: plane.version("iris").failed_revision)
            plane.runtime.health = READY
            old.end(1)
            await until(plane.runtime.running)
            (again,) = plane.runtime.running()
            assert (again.running.revision, again.spec.image) == (old.running.revision, "i:1")

    @on_fake_clock
    async def test_a_change_that_needs_no_other_replica_starts_none(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            plane.put({"iris": version()}, tags={"team": "a"})
            await plane.healthy("iris")
            assert len(plane.runtime.replicas) == 1


class TestCrashes:
    """A replica that ends is replaced, at once for the first time, then after growing pauses."""

    @on_fake_clock
    async def test_the_first_crash_is_answered_at_once(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            (replica,) = await deployed(plane)
            replica.end(-9)
            began = time.monotonic()
            await until(plane.runtime.running)
            assert time.monotonic() - began < 0.1
            await plane.healthy("iris")
            assert plane.version("iris").restarts == 1

    @on_fake_clock
    async def test_each_further_crash_in_a_row_doubles_the_pause(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            pauses = []
            for _ in range(10):
                (replica,) = plane.runtime.running()
                await asyncio.sleep(1)
                replica.end(1)
                began = time.monotonic()
                await until(plane.runtime.running)
                pauses.append(round(time.monotonic() - began, 1))
            assert pauses == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]

    @on_fake_clock
    async def test_a_replica_that_lived_well_ends_the_row(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            for lives in (1, 1, 1, 31):
                (replica,) = plane.runtime.running()
                await asyncio.sleep(lives)
                replica.end(1)
                began = time.monotonic()
                await until(plane.runtime.running)
            assert time.monotonic() - began < 0.1

    @on_fake_clock
    async def test_a_new_spec_is_tried_without_the_pause_of_the_old_one(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            for _ in range(8):
                await until(plane.runtime.running)
                plane.runtime.running()[0].end(1)
            await asyncio.sleep(1)
            assert not plane.runtime.running()
            plane.put({"iris": version(2)})
            await until(plane.runtime.running, within=0.1)

    @on_fake_clock
    async def test_requests_wait_at_the_replica_that_takes_the_place_of_the_last_one(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            (replica,) = await deployed(plane)
            plane.runtime.health = STARTING
            replica.end(1)
            await until(plane.runtime.running)
            await until(
                lambda: set(plane.router.version("iris").addresses) == plane.addresses(plane.runtime.running()),
                what="the router sends requests to the starting replica, which answers that it is busy",
            )

    @on_fake_clock
    async def test_a_crash_while_others_serve_takes_only_that_replica_out_of_the_route(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            first, second = await deployed(plane, replicas=2)
            plane.runtime.health = STARTING
            first.end(1)
            await until(lambda: plane.addresses([second]) == set(plane.router.version("iris").addresses))
            assert plane.status("iris").state != "Failed"

    @on_fake_clock
    async def test_a_replica_that_stops_answering_makes_the_endpoint_unhealthy_until_it_is_replaced(
        self, short_path: Path
    ) -> None:
        async with control_plane(short_path) as plane:
            (replica,) = await deployed(plane)
            replica.health = None
            await until(lambda: plane.status("iris").state == "Unhealthy")
            problem = plane.version("iris").problem
            assert problem is not None
            assert problem.code == "ReplicaUnreachable"
            await until(lambda: replica.killed)
            await plane.healthy("iris")


class TestSeveralVersions:
    """Each has its replicas; requests are divided by their shares."""

    @on_fake_clock
    async def test_a_new_version_gets_its_share_when_its_replicas_are_ready(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            plane.runtime.health = STARTING
            plane.put({"iris": version(), "iris-b": version(2, traffic_percentile=30)})
            await until(lambda: plane.runtime.running("iris", "iris-b"))
            await asyncio.sleep(5)
            assert plane.router.version("iris").weight == 100
            plane.runtime.running("iris", "iris-b")[0].health = READY
            await plane.healthy("iris")
            assert (plane.router.version("iris").weight, plane.router.version("iris", "iris-b").weight) == (70, 30)

    @on_fake_clock
    @pytest.mark.parametrize("lost", ["iris", "iris-b"], ids=["default", "other"])
    async def test_the_share_of_a_version_that_has_lost_its_replicas_goes_to_one_that_is_ready(
        self, short_path: Path, lost: str
    ) -> None:
        async with control_plane(short_path) as plane:
            plane.put({"iris": version(), "iris-b": version(2, traffic_percentile=30)})
            await plane.healthy("iris")
            plane.runtime.health = STARTING
            plane.runtime.running("iris", lost)[0].end(1)
            await until(lambda: plane.router.version("iris", lost).weight == 0)
            await until(lambda: plane.runtime.running("iris", lost), what="another replica is started")
            (again,) = plane.runtime.running("iris", lost)
            await until(
                lambda: set(plane.router.version("iris", lost).addresses) == plane.addresses([again]),
                what="a request that selects the version waits for the replica",
            )
            await asyncio.sleep(5)
            assert plane.router.version("iris", lost).weight == 0, "other requests do not wait for it"
            again.health = READY
            await plane.healthy("iris")
            assert (plane.router.version("iris").weight, plane.router.version("iris", "iris-b").weight) == (70, 30)

    @on_fake_clock
    async def test_requests_wait_in_their_shares_while_no_version_has_a_ready_replica(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            plane.put({"iris": version(), "iris-b": version(2, traffic_percentile=30)})
            await plane.healthy("iris")
            plane.runtime.health = STARTING
            for name in ("iris", "iris-b"):
                plane.runtime.running("iris", name)[0].end(1)
            await until(lambda: plane.runtime.running("iris", "iris") and plane.runtime.running("iris", "iris-b"))
            await asyncio.sleep(5)
            assert (plane.router.version("iris").weight, plane.router.version("iris", "iris-b").weight) == (70, 30)

    @on_fake_clock
    async def test_a_version_that_is_removed_is_known_to_the_router_until_its_requests_are_answered(
        self, short_path: Path
    ) -> None:
        async with control_plane(short_path) as plane:
            plane.put({"iris": version(), "iris-b": version(2, traffic_percentile=30)})
            await plane.healthy("iris")
            (leaving,) = plane.runtime.running("iris", "iris-b")
            plane.router.working.add(leaving.running.address)
            plane.put({"iris": version()})
            await asyncio.sleep(10)
            route = plane.router.route("iris")
            assert route is not None
            assert [(item.name, item.weight, item.addresses) for item in route.leaving] == [
                ("iris-b", 0, (leaving.running.address,))
            ]
            assert [item.name for item in route.versions] == ["iris"]
            assert not leaving.stopped
            plane.router.working.clear()
            await until(lambda: leaving.stopped, within=2)
            await until(lambda: (route := plane.router.route("iris")) is not None and not route.leaving)

    @on_fake_clock
    async def test_a_removed_version_stops_in_any_case_when_its_longest_request_must_be_over(
        self, short_path: Path
    ) -> None:
        async with control_plane(short_path) as plane:
            plane.put({"iris": version(), "iris-b": version(2, traffic_percentile=30)})
            await plane.healthy("iris")
            (leaving,) = plane.runtime.running("iris", "iris-b")
            plane.router.working.add(leaving.running.address)
            plane.put({"iris": version()})
            limits = version().limits
            longest = (limits.max_queue_wait_ms + limits.scoring_timeout_ms) / 1000
            await asyncio.sleep(longest)
            assert not leaving.stopped
            await until(lambda: leaving.stopped, within=2)


class TestDeletion:
    """Route, replicas, record: in this order."""

    @on_fake_clock
    async def test_a_deleted_endpoint_loses_its_route_before_its_replicas(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            (replica,) = await deployed(plane)
            plane.router.up = False
            plane.delete("iris")
            await asyncio.sleep(30)
            assert not replica.stopped
            plane.router.up = True
            await until(lambda: plane.store.find("iris") is None)
            assert (plane.router.route("iris"), replica.runs) == (None, False)
            assert ("iris", None) in plane.runtime.forgotten

    @on_fake_clock
    async def test_its_record_stays_until_its_last_replica_has_ended(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            (replica,) = await deployed(plane)
            replica.finishes = False
            plane.delete("iris")
            await until(lambda: replica.stopped)
            await asyncio.sleep(5)
            assert plane.store.find("iris") is not None
            replica.end(0)
            await until(lambda: plane.store.find("iris") is None)

    @on_fake_clock
    async def test_replicas_of_other_endpoints_stay(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            plane.put({"wine": version()})
            await plane.healthy("wine")
            plane.delete("iris")
            await until(lambda: plane.store.find("iris") is None)
            assert [replica.running.endpoint for replica in plane.runtime.running()] == ["wine"]
            assert plane.router.route("wine") is not None


class TestARestartOfTheController:
    """Replicas and router serve on; the next controller takes them over."""

    @on_fake_clock
    async def test_replicas_are_adopted_and_never_doubled(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            replicas = await deployed(plane, replicas=2)
            await plane.leave()
            later = ControlPlane(short_path / "endpoints.db", plane.runtime, FakeRouter(), own_processes=True)
            await later.begin()
            assert set(later.router.version("iris").addresses) == plane.addresses(replicas), "with the first route"
            await asyncio.sleep(30)
            assert list(plane.runtime.replicas.values()) == replicas
            await later.leave()

    @on_fake_clock
    async def test_replicas_that_ended_meanwhile_are_replaced(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            first, second = await deployed(plane, replicas=2)
            await plane.leave()
            first.end(1)
            later = ControlPlane(short_path / "endpoints.db", plane.runtime, FakeRouter(), own_processes=True)
            await later.begin()
            assert set(later.router.version("iris").addresses) == plane.addresses([second])
            await until(lambda: len(plane.runtime.running()) == 2)
            await later.healthy("iris")
            await later.leave()

    @on_fake_clock
    async def test_an_endpoint_whose_replicas_were_stopped_meanwhile_is_never_called_healthy(
        self, short_path: Path
    ) -> None:
        async with control_plane(short_path) as plane:
            (replica,) = await deployed(plane)
            await plane.healthy("iris")
            await plane.leave()
            replica.end(0)
            later = ControlPlane(short_path / "endpoints.db", plane.runtime, FakeRouter(), own_processes=True)
            await later.reconciler.begin()  # clients are answered from here on
            assert (later.status("iris").state, later.version("iris").replicas_ready) == ("Unhealthy", 0)
            await later.leave()

    @on_fake_clock
    async def test_nothing_is_started_while_it_is_not_known_what_runs(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            replicas = await deployed(plane)
            await plane.leave()
            plane.runtime.unavailable = "the engine is away"
            later = ControlPlane(short_path / "endpoints.db", plane.runtime, FakeRouter(), own_processes=True)
            await later.begin()
            await asyncio.sleep(60)
            assert list(plane.runtime.replicas.values()) == replicas
            problem = later.status("iris").problem
            assert problem is not None
            assert problem.message == "the engine is away"
            plane.runtime.unavailable = None
            await later.healthy("iris", within=5)
            assert list(plane.runtime.replicas.values()) == replicas
            await later.leave()

    @pytest.mark.parametrize("own_processes", [True, False])
    @on_fake_clock
    async def test_processes_are_looked_for_also_where_no_endpoint_is_left(
        self, short_path: Path, own_processes: bool
    ) -> None:
        async with control_plane(short_path, own_processes=own_processes) as plane:
            (replica,) = await deployed(plane)
            await plane.leave()
            later = ControlPlane(short_path / "empty.db", plane.runtime, FakeRouter(), own_processes=own_processes)
            await later.begin()
            await asyncio.sleep(5)
            assert replica.killed is own_processes, "other targets are asked only when an endpoint is on them"
            await later.leave()


class TestTheRouter:
    """A status never says Healthy while requests cannot pass."""

    @on_fake_clock
    async def test_endpoints_are_unhealthy_while_the_router_has_a_problem(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            plane.router.problem = Problem(code="RouterUnavailable", message="the router does not answer")
            plane.reconciler.router_changed()
            assert (plane.status("iris").state, plane.status("iris").problem) == ("Unhealthy", plane.router.problem)
            await asyncio.sleep(10)
            assert plane.status("iris").state == "Unhealthy"
            plane.router.problem = None
            plane.reconciler.router_changed()
            await plane.healthy("iris")

    @on_fake_clock
    async def test_uris_are_those_of_new_listener_settings_as_soon_as_these_are_in_force(
        self, short_path: Path
    ) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            plane.router.address = "https://scoring.example.org"
            await plane.reconciler.listen_anew()
            status = plane.status("iris")
            base = "https://scoring.example.org/api/v1/service/iris"
            assert (status.scoring_uri, status.swagger_uri) == (f"{base}/score", f"{base}/swagger.json")
            assert status.state == "Healthy"

    @on_fake_clock
    async def test_a_change_that_the_router_refuses_is_told_and_tried_again(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            plane.router.up = False
            plane.put({"iris": version(2)})
            await until(lambda: plane.status("iris").problem)
            problem = plane.status("iris").problem
            assert problem is not None
            assert (problem.code, problem.message) == (ControllerError.__name__, "the router does not answer.")
            plane.router.up = True
            await plane.healthy("iris")
            assert plane.status("iris").problem is None

    @on_fake_clock
    async def test_routes_that_have_not_changed_are_not_applied_again(self, short_path: Path) -> None:
        async with control_plane(short_path) as plane:
            await deployed(plane)
            await asyncio.sleep(5)
            before = len(plane.router.applied)
            plane.reconciler.retry("iris")
            await asyncio.sleep(5)
            assert len(plane.router.applied) == before

    @pytest.mark.parametrize("own_processes", [True, False])
    @on_fake_clock
    async def test_the_router_asks_for_keys_where_others_can_reach_replicas(
        self, short_path: Path, own_processes: bool
    ) -> None:
        async with control_plane(short_path, own_processes=own_processes) as plane:
            await deployed(plane)
            assert plane.router.version("iris").replica_keys == (None if own_processes else {})


@on_fake_clock
async def test_one_endpoint_that_cannot_start_holds_no_other_one_up(short_path: Path) -> None:
    async with control_plane(short_path) as plane:
        plane.put({"broken": version()}, compute_target="nowhere")
        plane.put({"iris": version()})
        await plane.healthy("iris", within=5)
        problem = plane.status("broken").problem
        assert problem is not None
        assert problem.message == "there is no compute target 'nowhere' on this machine: it has fake."
