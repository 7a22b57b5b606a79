"""The supervisor learns when replicas are ready, stop answering, and end. Its clock jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from mljupyter.controller.endpoints.supervisor import Supervisor
from mljupyter.runtimes.base import ReplicaOrder
from mljupyter.spec import LivenessProbe, ReplicaPhase, VersionSpec
from tests.fakes.clock import on_fake_clock, until
from tests.fakes.runtime import READY, STARTING, TARGET, FakeReplica, FakeRuntime, runtimes_of

SPEC = VersionSpec(image="i", probe=LivenessProbe(period_seconds=10, timeout_seconds=2, failure_threshold=3))
GRACE = SPEC.limits.scoring_timeout_ms / 1000 + 5


class World:
    """A supervisor, its runtime, and the names of the endpoints that it said have changed."""

    def __init__(self, sockets: Path) -> None:
        self.runtime = FakeRuntime(sockets)
        self.changed: list[str] = []
        self.supervisor = Supervisor(runtimes_of(self.runtime), self.changed.append)

    async def start(
        self, replica_id: str = "iris-1", spec: VersionSpec = SPEC, health: int | None = READY
    ) -> FakeReplica:
        self.runtime.health = health
        await self.supervisor.start(ReplicaOrder(replica_id, "iris", "iris", "r1", TARGET, "w", spec))
        return self.runtime.replicas[replica_id]

    async def ready(self, replica_id: str = "iris-1", spec: VersionSpec = SPEC) -> FakeReplica:
        """Start a replica; return when it is known to be ready."""
        replica = await self.start(replica_id, spec)
        await until(lambda: self.phase(replica_id) is ReplicaPhase.READY)
        return replica

    def phase(self, replica_id: str = "iris-1") -> ReplicaPhase:
        return next(item.phase for item in self.supervisor.all() if item.replica.id == replica_id)


@pytest.fixture
def world(short_path: Path) -> Callable[[], World]:
    return lambda: World(short_path)


@on_fake_clock
async def test_a_replica_is_ready_when_its_health_says_so(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.start(health=STARTING)
    await asyncio.sleep(30)
    assert (it.phase(), it.changed) == (ReplicaPhase.STARTING, [])
    replica.health = READY
    await until(lambda: it.phase() is ReplicaPhase.READY, within=0.2)
    assert it.changed == ["iris"]
    await it.supervisor.leave()


@on_fake_clock
async def test_a_replica_that_is_ready_soon_is_noticed_within_hundredths_of_a_second(
    world: Callable[[], World],
) -> None:
    it = world()
    replica = await it.start(health=STARTING)
    await asyncio.sleep(0.5)
    replica.health = READY
    await until(lambda: it.phase() is ReplicaPhase.READY, within=0.03)
    await it.supervisor.leave()


@on_fake_clock
async def test_a_replica_that_does_not_answer_is_ended_after_as_many_looks_as_its_probe_says(
    world: Callable[[], World],
) -> None:
    it = world()
    replica = await it.ready()
    began = asyncio.get_running_loop().time()
    replica.health = None
    await until(lambda: replica.killed, within=60)
    assert asyncio.get_running_loop().time() - began == pytest.approx(3 * (10 + 2), abs=0.1)
    (known,) = it.supervisor.all()
    assert not known.asked_to_end, "it counts as a crash"
    await it.supervisor.leave()


@on_fake_clock
async def test_one_answer_in_between_forgives_the_silence_before(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.ready()
    for _ in range(3):
        replica.health = None
        await asyncio.sleep(22)
        replica.health = 500  # one whose worker is restarted answers that it cannot serve, and is alive
        await asyncio.sleep(12)
    assert replica.runs
    await it.supervisor.leave()


@on_fake_clock
async def test_silence_and_its_end_are_changes_that_a_user_sees(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.ready()
    it.changed.clear()
    replica.health = None
    await asyncio.sleep(14)
    (known,) = it.supervisor.all()
    assert it.changed == ["iris"]
    assert known.silence == "does not answer: it is ended after 3 health checks without an answer"
    replica.health = READY
    await asyncio.sleep(12)
    assert it.changed == ["iris", "iris"]
    assert known.silence is None
    await it.supervisor.leave()


@on_fake_clock
async def test_a_replica_that_has_lost_its_socket_is_left_to_its_successor(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.ready()
    it.changed.clear()
    it.supervisor.lose("iris-1")
    it.supervisor.lose("iris-1")
    assert it.changed == ["iris"]
    replica.health = None
    await asyncio.sleep(120)
    assert replica.runs, "connections that the router has kept open still reach it"
    assert [item.observed().lost for item in it.supervisor.of("iris")] == [True]
    await it.supervisor.leave()


@on_fake_clock
async def test_a_ready_replica_that_is_drained_is_asked_to_end(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.ready()
    it.supervisor.drain("iris-1")
    it.supervisor.drain("iris-1")
    await until(lambda: it.phase() is ReplicaPhase.EXITED)
    assert (replica.stopped, replica.killed) == (1, False)
    await it.supervisor.leave()


@on_fake_clock
async def test_a_drained_replica_is_ended_when_its_longest_request_must_be_over(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.ready()
    replica.finishes = False
    it.supervisor.drain("iris-1")
    await asyncio.sleep(GRACE)
    assert (replica.runs, it.phase()) == (True, ReplicaPhase.DRAINING)
    await until(lambda: replica.killed, within=6)
    await it.supervisor.leave()


@on_fake_clock
async def test_a_starting_replica_that_is_drained_has_nothing_to_finish(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.start(health=STARTING)
    it.supervisor.drain("iris-1")
    assert (replica.stopped, replica.killed) == (0, True)
    await until(lambda: it.phase() is ReplicaPhase.EXITED)
    await it.supervisor.leave()


@pytest.mark.parametrize(
    ("exit_status", "reason", "text"),
    [
        (3, None, "could not start: the scoring script failed"),
        (4, None, "did not start in time: init() has not returned"),
        (1, None, "ended with exit status 1"),
        (-11, None, "was killed by signal 11"),
        (None, None, "ended unexpectedly"),
        (137, "was killed by the system", "was killed by the system"),
    ],
)
@on_fake_clock
async def test_a_replica_that_ends_by_itself_leaves_its_reason_and_its_last_lines(
    world: Callable[[], World], exit_status: int | None, reason: str | None, text: str
) -> None:
    it = world()
    replica = await it.ready()
    it.changed.clear()
    replica.end(exit_status, reason)
    await until(lambda: it.changed)
    (known,) = it.supervisor.of("iris")
    assert (known.phase, known.ending(), known.last_lines) == (ReplicaPhase.EXITED, text, ["the last line"])
    assert it.supervisor.remove("iris-1") is known
    assert it.supervisor.all() == []


@on_fake_clock
async def test_a_replica_whose_end_cannot_be_waited_for_is_ended(world: Callable[[], World]) -> None:
    it = world()
    it.runtime.broken = OSError("no descriptor")
    replica = await it.start()
    await until(lambda: replica.killed)
    await until(lambda: it.phase() is ReplicaPhase.EXITED)
    assert it.supervisor.all()[0].ending() == "could not be watched any more: no descriptor"
    await it.supervisor.leave()


@on_fake_clock
async def test_whether_adopted_replicas_are_ready_is_known_when_they_are_adopted(world: Callable[[], World]) -> None:
    it = world()
    await it.ready("iris-1")
    await it.start("iris-2", health=STARTING)
    await it.supervisor.leave()
    later = Supervisor(runtimes_of(it.runtime), it.changed.append)
    await later.adopt(TARGET, lambda replica: SPEC)
    phases = {item.replica.id: (item.phase, item.adopted) for item in later.all()}
    assert phases == {"iris-1": (ReplicaPhase.READY, True), "iris-2": (ReplicaPhase.STARTING, True)}
    await later.leave()


@on_fake_clock
async def test_adopted_replicas_that_nothing_wants_are_ended(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.ready()
    await it.supervisor.leave()
    later = Supervisor(runtimes_of(it.runtime), it.changed.append)
    await later.adopt(TARGET, lambda replica: None)
    assert replica.killed
    assert later.all() == []


@on_fake_clock
async def test_replicas_serve_on_when_the_supervisor_leaves(world: Callable[[], World]) -> None:
    it = world()
    replica = await it.ready()
    it.changed.clear()
    await it.supervisor.leave()
    assert (replica.runs, it.changed) == (True, [])


@on_fake_clock
async def test_all_replicas_are_gone_when_stop_all_returns(world: Callable[[], World]) -> None:
    it = world()
    replicas = [await it.ready(f"iris-{number}") for number in range(3)]
    await it.supervisor.stop_all()
    assert not any(replica.runs for replica in replicas)
    assert {item.phase for item in it.supervisor.all()} == {ReplicaPhase.EXITED}
