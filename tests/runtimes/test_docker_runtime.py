"""The runtime of containers, with an engine in memory."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

pytest.importorskip("docker", reason="needs the Docker SDK: pip install 'mljupyter[docker]'")

from mljupyter.engine.replicas.replica_key import replica_key
from mljupyter.engine.scaling.accelerators import Accelerator
from mljupyter.runtimes.accelerators import AcceleratorPool, Devices, Use
from mljupyter.runtimes.base import Ending, ReplicaOrder, RunningReplica, RuntimeUnavailableError, Usage
from mljupyter.runtimes.docker.runtime import DockerRuntime
from mljupyter.spec import Resources, VersionSpec
from tests.fakes.docker_engine import SERVER_LABELS, FakeContainer, FakeEngine, refusal
from tests.waiting import wait_until

KEY = b"k" * 32
SPEC = VersionSpec(image="iris:1")
GIB = 1 << 30


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    engine = FakeEngine()
    engine.add_image("iris:1", SERVER_LABELS)
    return engine


@pytest.fixture
async def runtime(engine: FakeEngine, tmp_path: Path) -> AsyncIterator[DockerRuntime]:
    runtime = made(engine, tmp_path)
    yield runtime
    await runtime.leave()


class TwoGpus:
    """A machine with two GPUs."""

    def present(self) -> list[Accelerator]:
        return [Accelerator(f"GPU-{name}", "T4", 16 << 30) for name in ("a", "b")]

    def use(self, accelerator: str) -> Use | None:
        return Use(50, 1000)


def made(
    engine: FakeEngine, place: Path, workspace: str = "/workspace", devices: Devices | None = None
) -> DockerRuntime:
    return DockerRuntime(
        workspace,
        place / "collected",
        lambda: place,
        KEY,
        connect=lambda: engine,  # type: ignore[arg-type, return-value]
        accelerators=AcceleratorPool(devices),
    )


def order(replica_id: str = "iris-1", revision: str = "r1", spec: VersionSpec = SPEC) -> ReplicaOrder:
    return ReplicaOrder(replica_id, "iris", "iris", revision, "docker", "workspace", spec)


def container(engine: FakeEngine, replica: RunningReplica) -> FakeContainer:
    return engine.containers_by_name[f"mljupyter-{replica.id}"]


async def test_a_container_listens_on_the_loopback_alone_and_requests_to_it_need_its_key(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    replica = await runtime.start(order())
    options = container(engine, replica).options
    ((address, port),) = options["ports"].values()
    assert address == "127.0.0.1"
    assert replica.address == f"127.0.0.1:{port}"
    assert replica.key == options["environment"]["MLJUPYTER_REPLICA_KEY"] == replica_key(KEY, "iris-1")
    assert (replica.target, replica.pid) == ("docker", None)


async def test_a_container_is_confined(runtime: DockerRuntime, engine: FakeEngine) -> None:
    spec = SPEC.model_copy(update={"resources": Resources(memory_in_gb_limit=2)})
    options = container(engine, await runtime.start(order(spec=spec))).options
    assert options["cap_drop"] == ["ALL"]
    assert options["read_only"] is True
    assert options["security_opt"] == ["no-new-privileges:true"]
    assert options["network"] == "mljupyter-replicas"
    assert options["mem_limit"] == options["memswap_limit"] == 2 * GIB
    assert "restart_policy" not in options, "the controller starts replicas again, with its back-off"


async def test_an_image_of_the_users_own_is_started_with_its_own_command(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    engine.add_image("own:1", {})
    replica = await runtime.start(order(spec=VersionSpec(image="own:1")))
    assert container(engine, replica).options["command"] is None
    assert replica.key is not None, "its server may ask for the key"


async def test_a_scoring_server_of_a_release_without_keys_gets_none(
    runtime: DockerRuntime, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.add_image("old:1", {"mljupyter/plan": "p"})
    replica = await runtime.start(order(spec=VersionSpec(image="old:1")))
    assert replica.key is None
    assert "MLJUPYTER_REPLICA_KEY" not in container(engine, replica).options["environment"]
    assert "Deploy again" in caplog.text


async def test_containers_have_gpus_of_their_own_also_after_another_controller_has_adopted_them(
    engine: FakeEngine, tmp_path: Path
) -> None:
    spec = SPEC.model_copy(update={"resources": Resources(gpu=1)})
    runtime = made(engine, tmp_path, devices=TwoGpus())
    first = await runtime.start(order(spec=spec))
    await runtime.leave()
    later = made(engine, tmp_path, devices=TwoGpus())
    await later.adopt()
    second = await later.start(order("iris-2", spec=spec))
    requested = [container(engine, replica).options["device_requests"][0] for replica in (first, second)]
    assert [request["DeviceIDs"] for request in requested] == [["GPU-a"], ["GPU-b"]]
    assert requested[0]["Capabilities"] == [["gpu"]]
    usage = (await later.usage([first], {}))[first.id]
    assert (usage.gpu_percent, usage.gpu_memory_bytes) == (50, 1000)
    assert (await later.capacity()).gpus == 2
    await later.leave()


async def test_a_container_that_cannot_have_a_gpu_leaves_it_to_others(engine: FakeEngine, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"resources": Resources(gpu=2)})
    runtime = made(engine, tmp_path, devices=TwoGpus())
    engine.start_failures = [refusal('could not select device driver "" with capabilities: [[gpu]]')]
    with pytest.raises(RuntimeUnavailableError, match="NVIDIA Container Toolkit"):
        await runtime.start(order(spec=spec))
    replica = await runtime.start(order("iris-2", spec=spec))
    assert replica.accelerators == ("GPU-a", "GPU-b")
    await runtime.leave()


async def test_a_container_that_does_not_start_is_removed(runtime: DockerRuntime, engine: FakeEngine) -> None:
    engine.start_failures = [refusal("no space left")]
    with pytest.raises(RuntimeUnavailableError, match="no space left"):
        await runtime.start(order())
    assert engine.containers_by_name == {}


async def test_a_network_that_others_remove_or_create_while_a_container_starts_is_made_again(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    engine.networks_at_starts = [[], [], ["one", "two"]]
    replica = await runtime.start(order())
    assert list(engine.containers_by_name) == [f"mljupyter-{replica.id}"]
    assert engine.network_ids == ["one"]


async def test_a_container_does_not_try_for_ever_to_join_a_network(runtime: DockerRuntime, engine: FakeEngine) -> None:
    engine.networks_at_starts = [[] for _ in range(100)]
    with pytest.raises(RuntimeUnavailableError, match="not found"):
        await runtime.start(order())
    assert len(engine.networks_at_starts) > 90
    assert engine.containers_by_name == {}


async def test_a_port_that_another_program_takes_while_a_container_starts_is_replaced(
    runtime: DockerRuntime, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        taken = other.getsockname()[1]
        ports = [taken, 40_001]
        monkeypatch.setattr("mljupyter.runtimes.docker.start.free_port", lambda: ports.pop(0))
        engine.start_failures = [refusal(f"Bind for 127.0.0.1:{taken} failed: port is already allocated")]
        replica = await runtime.start(order())
    assert replica.address == "127.0.0.1:40001"


async def test_a_version_without_an_image_is_refused(runtime: DockerRuntime) -> None:
    spec = SPEC.model_copy(update={"image": None})
    with pytest.raises(RuntimeUnavailableError, match="'iris' has no image"):
        await runtime.start(order(spec=spec))


async def test_an_image_that_is_gone_is_refused_with_the_way_out(runtime: DockerRuntime) -> None:
    with pytest.raises(RuntimeUnavailableError, match="gone:1.*deploy"):
        await runtime.start(order(spec=VersionSpec(image="gone:1")))


async def test_an_image_that_lost_its_name_is_taken_from_a_container_of_the_same_revision(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    first = await runtime.start(order("iris-1"))
    image = engine.image_names.pop("iris:1")
    second = await runtime.start(order("iris-2"))
    assert container(engine, second).image is image is container(engine, first).image
    assert engine.image_names["iris:1"] is image
    del engine.image_names["iris:1"]
    with pytest.raises(RuntimeUnavailableError):
        await runtime.start(order("iris-3", revision="r2"))


async def test_a_later_runtime_adopts_the_containers_of_its_workspace_alone(
    runtime: DockerRuntime, engine: FakeEngine, tmp_path: Path
) -> None:
    replica = await runtime.start(order())
    other = made(engine, tmp_path, "/other")
    await other.start(order("wine-1"))
    later = made(engine, tmp_path)
    assert await later.adopt() == [replica]
    for one in (other, later):
        await one.leave()


async def test_a_container_that_was_never_started_is_removed_and_an_ended_one_is_not_adopted(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    never, ended = await runtime.start(order("iris-1")), await runtime.start(order("iris-2"))
    container(engine, never).status = "created"
    container(engine, ended).end(1)
    assert await runtime.adopt() == []
    assert list(engine.containers_by_name) == ["mljupyter-iris-2"], "an ended one keeps its log"


async def comes(condition: Callable[[], object]) -> None:
    """Let others work until a condition holds."""
    async with asyncio.timeout(90):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_end_of_a_container_is_told_by_the_engine(
    runtime: DockerRuntime, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mljupyter.runtimes.docker.runtime._LOOK_EVERY", 1000)
    replica = await runtime.start(order())
    await comes(lambda: engine.listeners)
    waiting = asyncio.create_task(runtime.ended(replica))
    await comes(lambda: engine.inspected)
    container(engine, replica).end(3)
    async with asyncio.timeout(90):
        assert await waiting == Ending(3)


async def test_an_end_while_the_engine_restarted_is_not_missed(
    runtime: DockerRuntime, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mljupyter.runtimes.docker.runtime._LOOK_EVERY", 1000)
    replica = await runtime.start(order())
    await comes(lambda: engine.listeners)
    engine.away.set()
    engine.drop_connections()
    waiting = asyncio.create_task(runtime.ended(replica))
    await comes(lambda: engine.refused > 1)
    assert not waiting.done(), "an engine that does not answer ends nothing"
    container(engine, replica).end(0)
    engine.away.clear()
    async with asyncio.timeout(90):
        assert await waiting == Ending(0)


@pytest.mark.parametrize(
    ("how", "ending"),
    [
        ({"status": 1}, Ending(1)),
        ({"status": 127, "error": "exec failed"}, Ending(127, "exec failed")),
        (
            {"status": 137, "out_of_memory": True},
            Ending(137, "was killed by the system: it used more memory than its limit of 12288 MiB"),
        ),
    ],
)
async def test_the_reason_of_an_end(
    runtime: DockerRuntime, engine: FakeEngine, how: dict[str, int | bool | str], ending: Ending
) -> None:
    replica = await runtime.start(order())
    container(engine, replica).end(**how)  # type: ignore[arg-type]
    assert await runtime.ended(replica) == ending


async def test_a_container_that_somebody_removed_has_ended(runtime: DockerRuntime, engine: FakeEngine) -> None:
    replica = await runtime.start(order())
    container(engine, replica).remove()
    assert await runtime.ended(replica) == Ending(reason="was removed from the Docker engine")


async def test_stop_asks_and_kill_ends(runtime: DockerRuntime, engine: FakeEngine) -> None:
    replica = await runtime.start(order())
    runtime.stop(replica)
    wait_until(lambda: container(engine, replica).signals == ["SIGTERM"], what="it is asked to end")
    runtime.kill(replica)
    wait_until(lambda: container(engine, replica).signals == ["SIGTERM", "SIGKILL"], what="it is ended")


async def test_the_newest_three_ended_containers_of_a_version_stay_for_their_logs(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    for number in range(5):
        container(engine, await runtime.start(order(f"iris-{number}"))).end(0)
    await runtime.start(order("iris-9"))
    await runtime.forget("iris", "iris")
    assert set(engine.containers_by_name) == {f"mljupyter-iris-{number}" for number in (2, 3, 4, 9)}


async def test_nothing_of_a_deleted_endpoint_is_left(runtime: DockerRuntime, engine: FakeEngine) -> None:
    container(engine, await runtime.start(order())).end(0)
    other = await runtime.start(dataclasses.replace(order("wine-1"), endpoint="wine"))
    await runtime.forget("iris")
    assert list(engine.containers_by_name) == ["mljupyter-wine-1"]
    assert engine.network_ids, "another endpoint's container is in it"
    container(engine, other).end(0)
    await runtime.forget("wine")
    assert (engine.containers_by_name, engine.network_ids) == ({}, [])


async def test_an_engine_that_is_away_holds_nothing_up(
    runtime: DockerRuntime, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    replica = await runtime.start(order())
    engine.away.set()
    await runtime.forget("iris", "iris")
    assert "stay for now" in caplog.text
    assert await runtime.last_lines(replica, 5) == []
    assert await runtime.usage([replica], {}) == {}
    with pytest.raises(RuntimeUnavailableError, match="the engine is away"):
        await runtime.adopt()


async def test_the_last_lines_of_a_container(runtime: DockerRuntime, engine: FakeEngine) -> None:
    replica = await runtime.start(order())
    container(engine, replica).output = [b"one\n", b"two\n", b"\xff\n"]
    assert await runtime.last_lines(replica, 2) == ["two", "\ufffd"]


async def test_the_usage_of_a_container_is_asked_for_at_most_every_five_seconds(
    runtime: DockerRuntime, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("mljupyter.runtimes.docker.usage.time.monotonic", lambda: now)
    replica = await runtime.start(order())
    assert await runtime.usage([replica], {}) == {"iris-1": Usage(cpu_seconds=1.5, memory_bytes=2000)}
    now = 4.9
    assert await runtime.usage([replica], {}) == {}
    now = 5.0
    assert len(await runtime.usage([replica], {})) == 1
    assert engine.asked_for_usage == ["mljupyter-iris-1"] * 2


async def test_the_machine_of_the_engine_is_the_one_that_counts(runtime: DockerRuntime) -> None:
    capacity = await runtime.capacity()
    assert (capacity.cpu, capacity.memory_in_gb, capacity.machine) == (4, 16, "engine")


async def test_collected_data_of_a_container_is_written_as_this_user(
    runtime: DockerRuntime, engine: FakeEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.getuid", lambda: 1000)
    monkeypatch.setattr("os.getgid", lambda: 100)
    spec = SPEC.model_copy(update={"collect_model_data": True})
    options = container(engine, await runtime.start(order(spec=spec))).options
    place = tmp_path / "collected" / "iris"
    assert options["volumes"] == {str(place): {"bind": "/var/mljupyter/collected", "mode": "rw"}}
    assert options["user"] == "1000:100"
    assert place.parent.stat().st_mode & 0o777 == 0o700, "nobody else comes through"


class TestAnEngineOnAnotherMachine:
    """Its loopback is not this machine's."""

    async def test_it_is_refused_unless_it_is_reached_by_ssh(
        self, runtime: DockerRuntime, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "tcp://far.example:2375")
        with pytest.raises(RuntimeUnavailableError, match="DOCKER_HOST=ssh://"):
            await runtime.start(order())

    async def test_data_collected_there_is_refused(
        self, runtime: DockerRuntime, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", "ssh://far.example")
        spec = SPEC.model_copy(update={"collect_model_data": True})
        with pytest.raises(RuntimeUnavailableError, match="collect_model_data is True"):
            await runtime.start(order(spec=spec))
        assert engine.containers_by_name == {}


async def test_request_logs_are_told_from_other_output(runtime: DockerRuntime, engine: FakeEngine) -> None:
    replica = await runtime.start(order(spec=VersionSpec(image="iris:1", app_insights_enabled=True)))
    container(engine, replica).output = [
        b"2026-01-01T00:00:01.000000000Z hello\n",
        b'2026-01-01T00:00:02.000000000Z 2026 I azmlinfsrv.insights | {"id": 1}\n',
    ]
    (log,), (records,) = runtime.logs("iris"), runtime.records("iris", "iris")
    assert list(log.lines()) == ["hello\n"]
    assert list(records.lines()) == ['{"id": 1}\n']
    first = log.after(None)
    assert (first.lines, first.cursor) == (["hello\n"], "2026-01-01T00:00:02.000000000Z")
    assert log.after(first.cursor).lines == []


async def test_the_log_of_a_container_ends_when_it_is_removed_while_it_is_read(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    replica = await runtime.start(order())
    container(engine, replica).output = [
        b"2026-01-01T00:00:01.000000000Z first\n",
        b"2026-01-01T00:00:02.000000000Z second\n",
    ]
    (log,) = runtime.logs("iris")
    lines = iter(log.lines())
    assert next(lines) == "first\n"
    engine.containers_by_name.clear()
    assert list(lines) == []
    assert log.after(None).lines == []


async def test_the_log_of_a_container_that_is_being_removed_has_ended(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    replica = await runtime.start(order())
    found = container(engine, replica)
    found.output = [b"2026-01-01T00:00:01.000000000Z first\n"]
    (log,) = runtime.logs("iris")
    found.status = "removing"
    assert list(log.lines()) == []
    assert log.after(None).lines == []
