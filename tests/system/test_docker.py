"""Endpoints on the compute target docker: real containers on a real engine."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mljupyter.runtimes.base import ReplicaOrder, RunningReplica
from mljupyter.runtimes.docker import network
from mljupyter.runtimes.docker.runtime import DockerRuntime
from mljupyter.spec import Authentication, EndpointSpec, EndpointState, RouterSpec, RouterTls, VersionSpec
from mljupyter.targets.machine.client import ControllerClient
from tests.load import Load
from tests.system.conftest import Machine
from tests.system.targets import build
from tests.testbed import needed
from tests.waiting import promised, wait_until

docker = pytest.importorskip("docker", reason="needs the Docker SDK: pip install 'mljupyter[docker]'")
pytestmark = pytest.mark.system

ECHO = "import os\ndef init(): print('init')\ndef run(data): return {'data': data, 'cwd': os.getcwd()}\n"


@pytest.fixture(scope="module")
def echo_image() -> str:
    return build(ECHO)


@pytest.fixture
def engine(machine: Machine) -> Iterator[docker.DockerClient]:
    needed("MLJUPYTER_TEST_DOCKER")
    client = docker.from_env()
    yield client
    for container in containers(client, machine):
        container.remove(force=True)


def containers(client: docker.DockerClient, machine: Machine, *, all: bool = True) -> list:
    import hashlib

    fingerprint = hashlib.sha256(str(machine.directory).encode()).hexdigest()[:16]
    return client.containers.list(all=all, filters={"label": f"mljupyter/workspace={fingerprint}"}, ignore_removed=True)


def spec(image: str, name: str = "echo", **version: object) -> EndpointSpec:
    return EndpointSpec(
        name=name,
        compute_target="docker",
        authentication=Authentication.KEY,
        default_version=name,
        versions={name: VersionSpec.parse({"image": image, **version})},
    )


# A server of one's own, in one process: what it takes too much of ends the whole container.
GREEDY = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def do_POST(self):
        size = int(self.rfile.read(int(self.headers["Content-Length"])))
        bytearray(size)
        self.do_GET()
HTTPServer(("0.0.0.0", 5001), Handler).serve_forever()
"""
GREEDY_DOCKERFILE = 'FROM {base}\nCOPY score.py /server.py\nENTRYPOINT ["python3", "/server.py"]\n'


def uri(machine: Machine) -> str:
    found = machine.client.endpoint("echo").status.scoring_uri
    assert found is not None
    return found


def serves(machine: Machine) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return score(machine, uri(machine)).status_code == 200
    return False


def problems(machine: Machine) -> str:
    versions = machine.client.endpoint("echo").status.versions.values()
    return "\n".join(version.problem.text() for version in versions if version.problem is not None)


def score(machine: Machine, uri: str, name: str = "echo") -> httpx.Response:
    return httpx.post(uri, content=b"x", headers={"authorization": f"Bearer {machine.client.keys(name)[0]}"})


def test_a_container_answers_through_the_router_with_a_key(machine, engine, echo_image) -> None:
    record = machine.settle(machine.client.create(spec(echo_image)))
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    assert score(machine, record.status.scoring_uri).json() == {"data": "x", "cwd": "/var/azureml-app"}
    assert httpx.post(record.status.scoring_uri).status_code == 401
    authorization = f"Bearer {machine.client.keys('echo')[0]}"
    for coding, status in {"gzip": 200, "br": 415}.items():
        headers = {"authorization": authorization, "content-encoding": coding}
        answer = httpx.post(record.status.scoring_uri, content=gzip.compress(b"packed"), headers=headers)
        assert answer.status_code == status
        assert status != 200 or answer.json()["data"] == "packed"
    assert "init" in machine.client.logs("echo")


def test_a_container_is_reached_with_a_token_and_with_tls(machine, engine, echo_image) -> None:
    tokens = spec(echo_image).model_copy(update={"authentication": Authentication.TOKEN})
    assert machine.settle(machine.client.create(tokens)).status.state is EndpointState.HEALTHY
    router = machine.client.put_router(RouterSpec(tls=RouterTls(leaf_domain_label="team")))
    uri = f"https://localhost:{router.port}/api/v1/service/echo/score"
    trusting = ssl.create_default_context(cadata=router.trust)
    token = machine.client.token("echo")["token"]
    answer = httpx.post(uri, content=b"x", headers={"authorization": f"Bearer {token}"}, verify=trusting)
    assert answer.json() == {"data": "x", "cwd": "/var/azureml-app"}
    assert httpx.post(uri, content=b"x", verify=trusting).json()["code"] == "Unauthorized"


async def test_control_planes_that_start_their_first_containers_at_the_same_time_share_a_network(
    engine, echo_image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker before release 25 lets both create it, and then refuses containers that join it by its name."""
    monkeypatch.setattr(network, "NAME", f"mljupyter-test-{os.getpid()}")
    runtimes = [
        DockerRuntime(str(tmp_path / name), tmp_path / name, lambda: tmp_path, b"k" * 32) for name in ("one", "two")
    ]
    version = VersionSpec(image=echo_image)
    for attempt in range(3):  # without a remedy, all but one of ten fail
        ids = [f"{runtime}-{os.getpid()}-{attempt}" for runtime in ("one", "two")]
        orders = [ReplicaOrder(replica_id, "e", "e", "r", "docker", "w", version) for replica_id in ids]
        starts = [runtime.start(order) for runtime, order in zip(runtimes, orders, strict=True)]
        started = await asyncio.gather(*starts, return_exceptions=True)
        found = [engine.networks.get(one.id) for one in engine.networks.list(names=[network.NAME])]
        for replica_id in ids:
            for container in engine.containers.list(all=True, filters={"label": f"mljupyter/replica={replica_id}"}):
                container.remove(force=True)
        for one in found:
            one.remove()
        assert [one.id for one in started if isinstance(one, RunningReplica)] == ids, started
        assert [len(one.attrs["Containers"]) for one in found] == [2]
    for runtime in runtimes:
        await runtime.leave()


def test_a_container_has_the_least_rights_and_its_limits(machine, engine, echo_image) -> None:
    limits = {"cpu": 0.5, "cpuLimit": 0.5, "memoryInGB": 0.25, "memoryInGBLimit": 0.25}
    machine.settle(machine.client.create(spec(echo_image, resources=limits)))
    (container,) = containers(engine, machine)
    host = container.attrs["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert (host["NanoCpus"], host["Memory"]) == (500_000_000, 1 << 28)
    assert {binding["HostIp"] for port in host["PortBindings"].values() for binding in port} == {"127.0.0.1"}
    assert "PATH" in dict(item.split("=", 1) for item in container.attrs["Config"]["Env"])


def test_a_killed_controller_adopts_containers(machine, engine, echo_image) -> None:
    record = machine.settle(machine.client.create(spec(echo_image)))
    before = [container.id for container in containers(engine, machine)]
    os.kill(next(iter(machine.controllers())), signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), "the controller is gone")
    assert score_without_controller(record.status.scoring_uri) == 401
    again = machine.settle(machine.client.endpoint("echo"))
    assert again.status.state is EndpointState.HEALTHY
    assert [container.id for container in containers(engine, machine)] == before


def score_without_controller(uri: str) -> int:
    return httpx.post(uri).status_code


def test_a_killed_container_is_missed_by_no_request_and_replaced(machine, engine, echo_image) -> None:
    record = machine.settle(
        machine.client.create(spec(echo_image, scaling={"replicas": 2}, limits={"maxQueueWaitMs": 20_000}))
    )
    key = machine.client.keys("echo")[0]
    with Load(record.status.scoring_uri, key=key) as load:
        wait_until(lambda: load.sent > 50, "the load runs")
        victim = containers(engine, machine, all=False)[0]
        victim.kill()
        wait_until(
            lambda: (
                victim.id not in (ids := {item.id for item in containers(engine, machine, all=False)}) and len(ids) == 2
            ),
            "the container is replaced",
        )
        machine.settle(record)
        sent = load.sent
        wait_until(lambda: load.sent > sent + 100, "the load goes on")
    assert load.failed == 0, load.results


@pytest.mark.faults(7, "container out of memory")
def test_a_container_that_uses_too_much_memory_says_so(machine, engine) -> None:
    image = build("def init(): pass\ndef run(data): return len(bytearray(int(data)))\n")
    limits = {"memoryInGB": 0.125, "memoryInGBLimit": 0.125}
    record = machine.settle(machine.client.create(spec(image, resources=limits)))
    key = {"authorization": f"Bearer {machine.client.keys('echo')[0]}"}
    assert httpx.post(record.status.scoring_uri, content=b"1000", headers=key).json() == 1000
    big = httpx.post(record.status.scoring_uri, content=b"400000000", headers=key)
    assert big.status_code >= 500
    assert "for want of memory (limit: 128 MiB)" in big.text
    wait_until(lambda: "limit: 128 MiB" in machine.client.logs("echo"), "the log says so, too")
    wait_until(
        lambda: httpx.post(record.status.scoring_uri, content=b"1000", headers=key).status_code == 200,
        "it serves again",
    )


def test_an_out_of_memory_kill_during_init_is_reported_with_the_limit(machine, engine) -> None:
    image = build("def init(): bytearray(400_000_000)\ndef run(data): return 1\n")
    limits = {"memoryInGB": 0.125, "memoryInGBLimit": 0.125}
    record = machine.settle(machine.client.create(spec(image, resources=limits)))
    assert record.status.state is EndpointState.FAILED
    assert "128 MiB" in record.status.problem.text()


def test_a_container_that_is_killed_for_its_memory_says_so_with_the_limit(machine, engine) -> None:
    image = build(GREEDY, GREEDY_DOCKERFILE)
    limits = {"memoryInGB": 0.125, "memoryInGBLimit": 0.125}
    record = machine.settle(machine.client.create(spec(image, resources=limits)))
    key = {"authorization": f"Bearer {machine.client.keys('echo')[0]}"}
    assert httpx.post(record.status.scoring_uri, content=b"1000", headers=key).status_code == 200
    httpx.post(record.status.scoring_uri, content=b"400000000", headers=key)
    began = time.monotonic()
    wait_until(lambda: "limit of 128 MiB" in problems(machine), "the limit is named")
    wait_until(
        lambda: httpx.post(record.status.scoring_uri, content=b"1000", headers=key).status_code == 200,
        "it serves again",
    )
    assert time.monotonic() - began < promised(10)


def test_a_removed_image_is_restored_from_its_stopped_container(machine, engine) -> None:
    identity = build(ECHO + "# removed while it serves\n")
    tag = f"mljupyter/test-removed-{os.getpid()}:1"
    engine.images.get(identity).tag(tag)
    record = machine.settle(machine.client.create(spec(tag)))
    (victim,) = containers(engine, machine)
    engine.images.remove(tag, force=True)
    victim.kill()
    began = time.monotonic()
    wait_until(lambda: score(machine, record.status.scoring_uri).status_code == 200, "it serves again")
    assert time.monotonic() - began < promised(10)
    assert engine.images.get(tag).id == identity
    engine.images.remove(tag, force=True)


def test_a_removed_image_of_a_container_registry_is_pulled_again(machine, engine) -> None:
    tag = f"{needed('MLJUPYTER_TEST_REGISTRY')}/mljupyter/test-pulled-{os.getpid()}:1"
    engine.images.get(build(ECHO + "# in a container registry\n")).tag(tag)
    engine.images.push(tag)
    engine.images.remove(tag)
    record = machine.settle(machine.client.create(spec(tag)))
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    machine.client.delete("echo")
    engine.images.remove(tag, force=True)


def test_a_script_that_cannot_start_fails_with_its_last_lines(machine, engine) -> None:
    image = build("def init(): raise OSError('no such weights')\ndef run(data): return 1\n")
    record = machine.settle(machine.client.create(spec(image)))
    assert record.status.state is EndpointState.FAILED
    assert "no such weights" in record.status.problem.text()


@pytest.mark.faults(7, "image removed")
def test_an_image_that_is_missing_is_named(machine, engine) -> None:
    record = machine.settle(machine.client.create(spec("no-such-image:1")))
    assert record.status.state is EndpointState.FAILED
    assert "no-such-image" in record.status.problem.message


def test_moving_from_a_process_to_a_container_loses_no_request(machine, engine, echo_image) -> None:
    script = "import os\ndef init(): pass\ndef run(data): return 1"
    many = {"maxConcurrentRequests": 4}
    record = machine.healthy(machine.spec(script=script, limits=many))
    with Load(record.status.scoring_uri) as load:
        wait_until(lambda: load.sent > 50, "the load runs")
        moved = spec(echo_image, limits=many).model_copy(update={"authentication": Authentication.NONE})
        machine.settle(machine.client.create(moved, overwrite=True))
        wait_until(lambda: not machine.replicas(), "the process has ended")
        sent = load.sent
        wait_until(lambda: load.sent > sent + 50, "the load goes on")
    assert load.failed == 0, load.results
    assert len(containers(engine, machine, all=False)) == 1


def test_deleting_removes_all_containers(machine, engine, echo_image) -> None:
    machine.settle(machine.client.create(spec(echo_image)))
    machine.client.delete("echo")
    assert containers(engine, machine) == []


def test_without_an_engine_the_deployment_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    directory = tmp_path / "workspace"
    directory.mkdir()
    client = ControllerClient(directory)
    client.create(spec("some-image"))
    record = wait_until(lambda: (found := client.endpoint("echo")).status.problem and found, "the problem is told")
    assert "Docker engine" in record.status.problem.message
    client.delete("echo")
    client.stop(force=True)


class Engine:
    """A way to the Docker engine that can be cut: what a controller sees when the engine restarts."""

    def __init__(self, path: Path) -> None:
        self.address = f"unix://{path}"
        self._path = path
        self._stop = threading.Event()
        self._open: list[socket.socket] = []
        self._listener: socket.socket | None = None

    def connect(self) -> None:
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        assert self._listener is not None
        self._path.unlink()
        for connection in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                far.connect("/var/run/docker.sock")
                self._open += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)


@pytest.mark.faults(7, "Docker engine stopped, a container killed at the same time")
def test_what_happened_while_the_engine_was_away_is_noticed_and_healed(
    machine, engine, echo_image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Engine(tmp_path / "docker.sock")
    way.connect()
    monkeypatch.setenv("DOCKER_HOST", way.address)
    record = machine.settle(machine.client.create(spec(echo_image)))
    monkeypatch.delenv("DOCKER_HOST")
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    way.cut()
    assert score(machine, record.status.scoring_uri).status_code == 200, "containers serve without the engine's socket"
    (victim,) = containers(engine, machine, all=False)
    victim.kill()
    assert httpx.post(record.status.scoring_uri).status_code == 401
    way.connect()
    began = time.monotonic()
    wait_until(lambda: score(machine, record.status.scoring_uri).status_code == 200, "it serves again")
    assert time.monotonic() - began < promised(10)
    (successor,) = containers(engine, machine, all=False)
    assert successor.id != victim.id


def test_cpu_and_memory_of_a_container_are_those_that_the_engine_tells(machine, engine, echo_image) -> None:
    uri = machine.settle(machine.client.create(spec(echo_image))).status.scoring_uri
    with Load(uri, key=machine.client.keys("echo")[0], clients=1):

        def used() -> bool:
            found = machine.client.metrics("echo", since=600)["replicas"]
            return any(value > 0 for value in found["cpu_cores"]) and all(
                5 < value < 500 for value in found["memory_mb"]
            )

        wait_until(used, "CPU and memory are seen")


def test_a_controller_that_starts_without_the_engine_adopts_what_ran_when_it_is_back(
    machine, engine, echo_image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = Engine(tmp_path / "docker.sock")
    way.connect()
    monkeypatch.setenv("DOCKER_HOST", way.address)
    machine.settle(machine.client.create(spec(echo_image)))
    before = [container.id for container in containers(engine, machine)]
    way.cut()
    os.kill(next(iter(machine.controllers())), signal.SIGKILL)
    wait_until(lambda: not machine.controllers(), "the controller is gone")
    machine.client.ensure()
    wait_until(lambda: "does not answer" in machine.client.controller_log(), "the controller misses the engine")
    way.connect()
    wait_until(lambda: serves(machine), "it serves again")
    assert [container.id for container in containers(engine, machine)] == before
