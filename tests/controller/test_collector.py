"""A measurement costs the work for the versions in which something happens, and loses nothing of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from mljupyter.client.errors import ControllerError
from mljupyter.controller.endpoints.replica_handle import ReplicaSupervisor
from mljupyter.controller.metrics import collector
from mljupyter.controller.metrics.collector import IDLE_WRITTEN_EVERY, Collector
from mljupyter.controller.router.endpoint_router import EndpointRouter
from mljupyter.controller.storage.store import Store
from mljupyter.spec import EndpointSpec, EndpointStatus, VersionSpec, VersionStatus
from mljupyter.telemetry.metrics.router_statistics import Cluster, RouterStatistics
from mljupyter.telemetry.metrics.samples import Counts, Interval
from tests.fakes.runtime import FakeRuntime, runtimes_of

START = 1_800_000_000
MANY = 300


class Clock:
    """The time of the collector: both of its clocks."""

    def __init__(self) -> None:
        self.passed = 0.0

    def time(self) -> float:
        return START + self.passed

    def monotonic(self) -> float:
        return 50.0 + self.passed


class Router:
    """A router with the counts that a test gives it."""

    adopted = False
    up = readable = True
    identity = "1@1"

    def __init__(self) -> None:
        self.counted = RouterStatistics({})
        self.failure: ControllerError | None = None
        self.former: dict[str, RouterStatistics] = {}
        self.meanwhile: Callable[[], None] = lambda: None

    def count(self, endpoint: str, requests: int, active: int = 0) -> None:
        """Count requests of an endpoint's version since the start."""
        cluster = Cluster(Counts(requests=requests), active)
        self.counted = RouterStatistics({**self.counted.clusters, f"{endpoint}.{endpoint}": cluster})

    async def replaced(self) -> dict[str, RouterStatistics]:
        return dict(self.former)

    def forget_replaced(self, replaced: dict[str, RouterStatistics]) -> None:
        assert replaced.keys() <= self.former.keys()

    async def statistics(self) -> RouterStatistics:
        if self.failure is not None:
            raise self.failure
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return self.counted


class Supervisor:
    """No replicas."""

    def of(self, endpoint: str) -> list[object]:
        return []


class Measured:
    """A collector with its fakes."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.clock, self.router = clock, Router()
        self.store = Store(directory / "endpoints.db")
        self.collector = self.new(directory)

    def new(self, directory: Path) -> Collector:
        router, supervisor = cast("EndpointRouter", self.router), cast("ReplicaSupervisor", Supervisor())
        runtimes = runtimes_of(FakeRuntime(Path("/nowhere")))
        return Collector(directory / "metrics.db", self.store, router, supervisor, runtimes)

    def put(self, name: str, ready: int = 1) -> None:
        spec = EndpointSpec(name=name, versions={name: VersionSpec(image="i:1")}, default_version=name)
        versions = {name: VersionStatus(replicas_ready=ready, replicas_wanted=ready, weight=100)}
        self.store.put(spec, EndpointStatus(versions=versions), None)

    async def seconds(self, number: int) -> None:
        """Let time pass, with a measurement at the end of each second."""
        for _ in range(number):
            self.clock.passed += 1
            await self.collector._look()

    async def read(self, name: str) -> list[Interval]:
        """Return the seconds of an endpoint."""
        await self.collector.write_idle(name)
        found = self.collector.series.intervals(name, 0, START + 10_000, fine=True)
        return [interval for interval in found if interval.version == name]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(collector, "time", found)
    return found


@asynccontextmanager
async def measured(directory: Path, clock: Clock) -> AsyncIterator[Measured]:
    found = Measured(directory, clock)
    yield found
    await found.collector.close()
    found.store.close()


async def test_idle_versions_are_looked_at_once_in_ten_seconds(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        for index in range(MANY):
            plane.put(f"endpoint-{index}")
        await plane.seconds(1)
        assert plane.collector.versions_looked_at == MANY
        await plane.seconds(IDLE_WRITTEN_EVERY - 2)
        assert plane.collector.versions_looked_at == MANY
        await plane.seconds(1)
        assert plane.collector.versions_looked_at == 2 * MANY


async def test_a_version_with_requests_is_looked_at_each_second_and_no_other_one(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        for index in range(MANY):
            plane.put(f"endpoint-{index}")
        await plane.seconds(1)
        before = plane.collector.versions_looked_at
        for second in range(5):
            plane.router.count("endpoint-7", second + 1)
            await plane.seconds(1)
        assert plane.collector.versions_looked_at - before == 5
        assert [one.counts.requests for one in await plane.read("endpoint-7")] == [0, 1, 1, 1, 1, 1]


async def test_idle_seconds_are_read_as_if_each_had_been_written(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        plane.put("iris", ready=2)
        await plane.seconds(130)
        found = await plane.read("iris")
        assert [one.time for one in found] == list(range(START + 1, START + 131))
        assert {round(one.seconds, 6) for one in found} == {1.0}
        assert {(one.levels.replicas_ready, one.levels.weight) for one in found} == {(2, 100)}
        minutes = plane.collector.series.intervals("iris", 0, START + 60, fine=False)
        assert [(one.time, one.seconds) for one in minutes] == [(START + 60, pytest.approx(60))]


async def test_a_change_of_an_endpoint_is_seen_in_the_next_second(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        plane.put("iris")
        plane.put("rose")
        await plane.seconds(4)
        before = plane.collector.versions_looked_at
        plane.put("iris", ready=3)
        await plane.seconds(3)
        assert plane.collector.versions_looked_at - before == 1
        assert [one.levels.replicas_ready for one in await plane.read("iris")] == [1, 1, 1, 1, 3, 3, 3]
        assert [one.levels.replicas_ready for one in await plane.read("rose")] == [1] * 7


async def test_a_change_while_the_router_does_not_answer_is_not_lost(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        plane.put("iris")
        await plane.seconds(2)
        plane.put("iris", ready=5)
        plane.router.failure = ControllerError("the router does not answer.")
        with pytest.raises(ControllerError):
            await plane.seconds(1)
        plane.router.failure = None
        await plane.seconds(1)
        assert (await plane.read("iris"))[-1].levels.replicas_ready == 5


async def test_requests_that_end_are_followed_until_none_is_on_its_way(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        plane.put("iris")
        await plane.seconds(1)
        plane.router.count("iris", 0, active=2)
        await plane.seconds(3)
        plane.router.count("iris", 2)
        await plane.seconds(3)
        found = await plane.read("iris")
        assert [one.levels.running + one.levels.waiting for one in found] == [0, 2, 2, 2, 0, 0, 0]
        assert sum(one.counts.requests for one in found) == 2


async def test_a_router_that_starts_again_without_counts_takes_none_away(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        plane.put("iris")
        plane.router.count("iris", 5)
        await plane.seconds(2)
        plane.router.identity, plane.router.counted = "2@2", RouterStatistics({})
        await plane.seconds(2)
        plane.router.count("iris", 3)
        await plane.seconds(15)
        assert sum(one.counts.requests for one in await plane.read("iris")) == 8
        (totals,) = plane.collector.totals().versions
        assert totals.counts.requests == 8


async def test_a_new_endpoint_with_the_name_of_a_deleted_one_counts_from_zero(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        plane.put("iris")
        plane.router.count("iris", 5)
        await plane.seconds(2)
        plane.store.remove("iris")
        plane.router.counted = RouterStatistics({})
        await plane.seconds(1)
        assert not plane.collector.totals().versions
        plane.put("iris")
        plane.router.count("iris", 6)
        await plane.seconds(1)
        (totals,) = plane.collector.totals().versions
        assert totals.counts.requests == 6


async def test_another_collector_goes_on_where_the_first_one_ended(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        plane.put("iris")
        plane.router.count("iris", 5)
        await plane.seconds(3)
        await plane.collector.close()
        clock.passed += 4
        plane.router.count("iris", 7)
        plane.collector = plane.new(tmp_path)
        await plane.seconds(1)
        found = await plane.read("iris")
        assert sum(one.counts.requests for one in found) == 7
        assert sum(one.seconds for one in found) == pytest.approx(8)


async def test_the_time_without_requests_is_written_at_the_end(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as plane:
        plane.put("iris")
        await plane.seconds(7)
        await plane.collector.close()
        plane.collector = plane.new(tmp_path)
        found = plane.collector.series.intervals("iris", 0, START + 100, fine=True)
        assert [one.time for one in found] == list(range(START + 1, START + 8))


def answering(requests: int, answers: Counts) -> RouterStatistics:
    """Return what a router says that counts answers apart."""
    return RouterStatistics({"iris.iris": Cluster(Counts(requests=requests, retries=requests), answers=answers)})


async def test_answers_count_and_not_what_replicas_gave(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as found:
        found.put("iris")
        found.router.counted = answering(3, Counts(requests=5, client_errors=2))
        await found.seconds(1)
        found.router.counted = answering(4, Counts(requests=9, client_errors=3))
        await found.seconds(2)
        counts = [interval.counts for interval in await found.read("iris")]
    assert [(one.requests, one.client_errors, one.retries) for one in counts] == [(5, 2, 3), (4, 1, 1), (0, 0, 0)]


async def test_a_replaced_router_counts_on_until_it_ends_and_over_a_restart_of_the_controller(
    tmp_path: Path, clock: Clock
) -> None:
    async with measured(tmp_path, clock) as found:
        found.put("iris")
        found.router.counted = answering(10, Counts(requests=10))
        await found.seconds(1)
        old = answering(12, Counts(requests=13, client_errors=1))
        found.router.identity, found.router.former = "2@2", {"1@1": old}
        found.router.counted = answering(1, Counts(requests=1))
        await found.seconds(2)
        found.router.former = {"1@1": answering(15, Counts(requests=17, client_errors=1))}
        await found.collector.close()
        found.collector = found.new(tmp_path)
        await found.seconds(1)
        found.router.former = {}
        await found.seconds(IDLE_WRITTEN_EVERY + 1)
        total = [interval.counts for interval in await found.read("iris")]
        kept = found.collector.series.progress()
    assert sum(one.requests for one in total) == 17 + 1
    assert sum(one.retries for one in total) == 15 + 1
    assert sum(one.client_errors for one in total) == 1
    assert not [source for source in kept if "@" in source], "nothing is kept of a router that has ended"


async def test_nothing_counts_twice_while_a_router_takes_over(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as found:
        found.put("iris")
        found.router.counted = answering(10, Counts(requests=10))
        found.router.former = {"1@1": found.router.counted}  # it leaves, and still is the one that is read
        await found.seconds(2)
        before, found.router.identity = found.router.counted, "2@2"
        found.router.former, found.router.counted = {"1@1": before}, RouterStatistics({})
        await found.seconds(2)
        assert sum(one.counts.requests for one in await found.read("iris")) == 10


async def test_answers_of_a_deleted_endpoint_are_not_those_of_the_next_one_of_its_name(
    tmp_path: Path, clock: Clock
) -> None:
    async with measured(tmp_path, clock) as found:
        found.put("iris")
        found.router.counted = answering(10, Counts(requests=10))
        await found.seconds(1)
        found.store.remove("iris")
        found.router.counted = RouterStatistics({"iris.iris": Cluster(answers=Counts(requests=12))})
        await found.seconds(IDLE_WRITTEN_EVERY + 1)
        await found.collector.close()
        found.collector = found.new(tmp_path)
        found.router.failure = ControllerError("not now")
        with pytest.raises(ControllerError):
            await found.seconds(1)
        found.router.failure = None
        await found.seconds(IDLE_WRITTEN_EVERY + 1)
        found.put("iris")
        await found.seconds(1)
        found.router.counted = answering(1, Counts(requests=13))
        await found.seconds(1)
        assert sum(one.counts.requests for one in await found.read("iris")) == 10 + 1


def counted(requests: int, answers: int) -> RouterStatistics:
    return answering(requests, Counts(requests=answers))


@pytest.mark.parametrize("seen", ["while it is deleted", "as the next one"])
async def test_the_last_answers_of_a_deleted_endpoint_are_not_the_first_of_the_next_one(
    seen: str, tmp_path: Path, clock: Clock
) -> None:
    async with measured(tmp_path, clock) as found:
        found.put("iris")
        found.router.counted = counted(10, 10)
        await found.seconds(1)
        if seen == "while it is deleted":
            found.store.mark_deleting("iris")
            await found.seconds(1)
        found.store.remove("iris")
        found.put("iris")
        found.router.counted = counted(1, 14)  # four answers more of the first one, and the first of the second one
        await found.seconds(1)
        found.router.counted = counted(3, 17)  # the router has refused one more
        await found.seconds(1)
        assert [one.counts.requests for one in await found.read("iris")][-2:] == [1, 3]
        assert found.collector.totals().versions[0].counts.requests == 4


async def test_an_endpoint_that_is_replaced_by_another_one_during_a_measurement_counts_nothing_in_it(
    tmp_path: Path, clock: Clock
) -> None:
    async with measured(tmp_path, clock) as found:
        found.put("iris")
        found.router.counted = counted(10, 10)
        await found.seconds(1)
        found.router.counted = counted(13, 13)

        def replace() -> None:
            found.store.remove("iris")
            found.put("iris")

        found.router.meanwhile = replace
        await found.seconds(1)
        found.router.counted = counted(2, 15)
        await found.seconds(1)
        assert sum(one.counts.requests for one in await found.read("iris")) == 10 + 2


async def test_a_router_that_takes_long_to_end_counts_once(tmp_path: Path, clock: Clock) -> None:
    async with measured(tmp_path, clock) as found:
        found.put("iris")
        old = RouterStatistics({"iris.iris": Cluster(Counts(requests=4), answers=Counts(requests=6))}, denied=2)
        found.router.counted = old
        await found.seconds(1)
        found.router.identity, found.router.former = "2@2", {"1@1": old}
        found.router.counted = RouterStatistics({}, denied=1)
        await found.seconds(3 * IDLE_WRITTEN_EVERY)
        assert sum(one.counts.requests for one in await found.read("iris")) == 6
        assert found.collector.totals().denied == 3
