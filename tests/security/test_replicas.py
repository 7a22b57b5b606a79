"""Attacks on container replicas: nobody but their router gets an answer, and none takes the machine or another one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from mljupyter.deploy.images import smoke_test
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.runtimes.base import RuntimeUnavailableError
from mljupyter.runtimes.docker import network as docker_network
from mljupyter.spec import Authentication, EndpointSpec, EndpointState, VersionSpec
from mljupyter.targets.machine.client import ControllerClient
from tests.holding import files_holding
from tests.system.conftest import Machine, clear_away
from tests.system.targets import build, containers
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until

docker = pytest.importorskip("docker", reason="needs the Docker SDK: pip install 'mljupyter[docker]'")
pytestmark = pytest.mark.system

PRIVATE_PATHS = ("/score", "/swagger.json", "/-/state")
NETWORK = "mljupyter-replicas"
# What somebody else of this machine sends: no key, a forged one, a forged start.
ASK = """
import sys, urllib.error, urllib.request
uri, *paths = sys.argv[1:]
for path in paths:
    for headers in ({}, {"x-mlj-replica-key": "0" * 64, "x-mlj-start": "1"}):
        body = b"x" if path == "/score" else None
        try:
            with urllib.request.urlopen(urllib.request.Request(uri + path, body, headers), timeout=2) as answer:
                print(answer.status)
        except urllib.error.HTTPError as error:
            print(error.code)
        except OSError as error:
            print("unreachable", error)
"""
# Answers what it can find out of the key, and what it gets from an address.
CURIOUS = """
import os, socket, subprocess, urllib.error, urllib.request
def init(): pass
def run(data):
    if data.startswith("resolve"):
        return socket.gethostbyname(data.split()[1])
    if data.startswith("http"):
        try:
            with urllib.request.urlopen(urllib.request.Request(data, b"x"), timeout=1) as answer:
                return f"reached: {answer.status}"
        except urllib.error.HTTPError as error:
            return f"reached: {error.code}"
        except OSError as error:
            return f"unreachable: {error}"
    seen = str(dict(os.environ)) + open("/proc/self/environ").read()
    seen += subprocess.run(["env"], capture_output=True, text=True).stdout
    return "REPLICA_KEY" in seen
"""
SERVER_BEFORE = """
import json, os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        told = [{name: value for name, value in self.headers.items() if name.startswith("x-mlj-")}, dict(os.environ)]
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
ThreadingHTTPServer(("0.0.0.0", 5001), Handler).serve_forever()
"""
BEFORE = 'FROM {base}\nCOPY score.py /server.py\n%sENTRYPOINT ["python3", "/server.py"]\nCMD []\n'


@contextlib.contextmanager
def workspace(directory: Path) -> Iterator[Machine]:
    """Give a workspace of which no container is left."""
    needed("MLJUPYTER_TEST_DOCKER")
    directory.mkdir(mode=0o700)
    machine = Machine(directory.resolve(), ControllerClient(directory), ArtifactStore(directory / "artifacts"))
    try:
        yield machine
    finally:
        clear_away(machine)
        for container in containers(machine):
            container.remove(force=True)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A workspace with two endpoints, ``one`` and ``two``, that all tests share."""
    with workspace(tmp_path_factory.mktemp("replicas") / "workspace") as machine:
        for name in ("one", "two"):
            deployed(machine, name, build(CURIOUS))
        yield machine


def deployed(machine: Machine, name: str, image: str, **version: object) -> EndpointSpec:
    spec = EndpointSpec(
        name=name,
        compute_target="docker",
        authentication=Authentication.KEY,
        default_version=name,
        versions={name: VersionSpec.parse({"image": image, **version})},
    )
    record = machine.settle(machine.client.create(spec))
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    return spec


def container(machine: Machine, name: str) -> Any:
    (found,) = (item for item in containers(machine, all=False) if item.labels["mljupyter/endpoint"] == name)
    return found


def port_uri(item: Any) -> str:
    return f"http://127.0.0.1:{item.attrs['NetworkSettings']['Ports']['5001/tcp'][0]['HostPort']}"


def inner_uri(item: Any) -> str:
    (address,) = {network["IPAddress"] for network in item.attrs["NetworkSettings"]["Networks"].values()}
    return f"http://{address}:5001"


def score(machine: Machine, name: str, body: str = "x", **headers: str) -> httpx.Response:
    uri = machine.client.endpoint(name).status.scoring_uri
    assert uri is not None
    key = {"authorization": f"Bearer {machine.client.keys(name)[0]}", **headers}
    return httpx.post(uri, content=body, headers=key)


def as_another_user(uri: str, *paths: str) -> list[str]:
    """Ask as a user without any rights, in a process that knows the address alone."""
    other: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.getuid() == 0 else {}
    command = [sys.executable, "-I", "-c", ASK, uri, *paths]
    if other:
        command[0] = "/usr/bin/python3"  # ours may be in a directory that is not theirs
    asked = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=HANG_SECONDS, **other)
    assert asked.returncode == 0, asked.stderr
    return asked.stdout.splitlines()


def test_a_containers_port_answers_nobody_but_the_router(host: Machine) -> None:
    uri = port_uri(container(host, "one"))
    assert as_another_user(uri, *PRIVATE_PATHS) == ["401"] * 6
    assert as_another_user(inner_uri(container(host, "one")), *PRIVATE_PATHS) == ["401"] * 6
    assert as_another_user(uri, "/") == ["200"] * 2, "its health is no secret"
    through = score(host, "one", "seen", **{"x-mlj-replica-key": "0" * 64})
    assert (through.status_code, through.json()) == (200, False), "the script does not see the key"
    assert not [name for name in through.headers if name.startswith("x-mlj-")]
    wait_until(lambda: counted(host), "the controller itself goes on to ask replicas")


def counted(machine: Machine) -> bool:
    score(machine, "one")
    return bool(re.search(r'mljupyter_runs_total\{endpoint="one"[^}]*\} [1-9]', machine.client.exposition()))


def test_no_container_reaches_another_one(host: Machine, tmp_path: Path) -> None:
    with workspace(tmp_path / "neighbour") as neighbour:
        deployed(neighbour, "three", build(CURIOUS))
        for other in (container(host, "two"), container(neighbour, "three")):
            answer = score(host, "one", f"{inner_uri(other)}/score").json()
            assert answer.startswith("unreachable"), answer
        # A container that is none of ours, on the default network of the engine.
        stranger = docker.from_env().containers.run(
            needed("MLJUPYTER_TEST_BASE_IMAGE"),
            ["python3", "-c", ASK, inner_uri(container(host, "one")), "/score"],
            remove=True,
        )
        assert b"200" not in stranger


def test_containers_resolve_names(host: Machine) -> None:
    assert re.fullmatch(r"[0-9.]+", score(host, "one", "resolve localhost").json())
    resolver = container(host, "one").exec_run(["cat", "/etc/resolv.conf"]).output.decode()
    assert "nameserver" in resolver


def network() -> Any:
    """Return the network of replicas, None while the engine has none."""
    found = docker.from_env().networks.list(names=[NETWORK])
    return next((item for item in found if item.name == NETWORK), None)


def test_the_network_separates_and_is_there_as_long_as_it_is_needed(host: Machine) -> None:
    assert network().attrs["Options"]["com.docker.network.bridge.enable_icc"] == "false"
    assert container(host, "one").attrs["NetworkSettings"]["Networks"].keys() == {NETWORK}
    host.client.delete("two")
    assert network() is not None
    deployed(host, "two", build(CURIOUS))


def test_the_last_container_takes_the_network_along(host: Machine) -> None:
    for name in ("one", "two"):
        host.client.delete(name)

    def others() -> list[Any]:
        replicas = {"label": "mljupyter/replica"}
        found: list[Any] = docker.from_env().containers.list(all=True, filters=replicas, ignore_removed=True)
        return found

    try:
        # Between the two looks, another control plane may start its first replica.
        wait_until(lambda: others() or network() is None, "the network is gone, or others need it")
    finally:
        for name in ("one", "two"):
            deployed(host, name, build(CURIOUS))


def test_a_network_that_separates_nothing_is_refused() -> None:
    with made_by_hand("true") as client, pytest.raises(RuntimeUnavailableError, match="does not isolate containers"):
        docker_network.ensure(client)


def test_a_network_made_by_hand_is_taken_and_left_alone() -> None:
    with made_by_hand("false") as client:
        assert docker_network.ensure(client) == docker_network.NAME
        assert not docker_network.remove_unused(client)


def test_a_network_that_nobody_uses_is_garbage(host: Machine) -> None:
    client = docker.from_env()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_network, "NAME", f"mljupyter-test-{os.getpid()}")
        docker_network.ensure(client)
        assert not docker_network.remove_unused(client), "others have replicas"
        patch.setattr(docker_network, "REPLICA_LABEL", "mljupyter/no-container-has-this")
        assert docker_network.remove_unused(client, dry_run=True)
        assert docker_network.remove_unused(client)
        assert not docker_network.remove_unused(client)
    client.close()


@contextlib.contextmanager
def made_by_hand(talking: str) -> Iterator[Any]:
    """Make a network of another name than the real one, and take it for that."""
    needed("MLJUPYTER_TEST_DOCKER")
    client = docker.from_env()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docker_network, "NAME", f"mljupyter-test-{os.getpid()}")
        patch.setattr(docker_network, "REPLICA_LABEL", "mljupyter/no-container-has-this")
        made = client.networks.create(
            docker_network.NAME, options={"com.docker.network.bridge.enable_icc": talking}, check_duplicate=True
        )
        try:
            yield client
        finally:
            made.remove()
            client.close()


def test_a_restarted_controller_serves_containers_whose_keys_it_made_and_makes_no_others(host: Machine) -> None:
    file = host.directory / "control" / "replica-key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_text(), container(host, "one").id
    os.kill(next(iter(host.controllers())), signal.SIGKILL)
    assert host.settle(host.client.endpoint("one")).status.state is EndpointState.HEALTHY
    assert score(host, "one").status_code == 200
    assert (file.read_text(), container(host, "one").id) == before


def test_a_lost_key_of_the_workspace_loses_no_container(host: Machine) -> None:
    before = container(host, "one").id
    os.kill(next(iter(host.controllers())), signal.SIGKILL)
    (host.directory / "control" / "replica-key").write_text("")  # as a loss of power may leave it
    assert host.settle(host.client.endpoint("one")).status.state is EndpointState.HEALTHY
    assert score(host, "one").status_code == 200
    assert container(host, "one").id == before
    container(host, "one").kill()
    wait_until(lambda: replaced(host, "one", before), "another container, with another key, serves")


def replaced(machine: Machine, name: str, before: str) -> bool:
    found = [item.id for item in containers(machine, all=False) if item.labels["mljupyter/endpoint"] == name]
    return found not in ([], [before]) and score(machine, name).status_code == 200


def test_a_container_of_a_release_without_keys_is_adopted_and_serves_on(host: Machine) -> None:
    ours = container(host, "two")
    os.kill(next(iter(host.controllers())), signal.SIGKILL)
    labels = {**ours.labels, "mljupyter/replica": "two-before"}
    image, command = ours.image, ours.attrs["Config"]["Cmd"]
    ours.remove(force=True)
    before = docker.from_env().containers.run(
        image, command, labels=labels, name="mljupyter-two-before", detach=True, ports={"5001/tcp": ("127.0.0.1", None)}
    )
    wait_until(lambda: as_another_user(port_uri(again(before)), "/") == ["200"] * 2, "it answers")
    wait_until(lambda: score(host, "two").status_code == 200, "it serves")
    assert [item.id for item in containers(host) if item.labels["mljupyter/endpoint"] == "two"] == [before.id]
    assert as_another_user(port_uri(again(before)), "/score") == ["200"] * 2, "as long as it lives"
    before.kill()
    wait_until(lambda: replaced(host, "two", before.id), "the next one has a key")
    assert as_another_user(port_uri(container(host, "two")), "/score") == ["401"] * 2


def again(item: Any) -> Any:
    item.reload()
    return item


def test_the_keys_of_replicas_are_in_files_and_sockets_of_the_owner_alone(host: Machine) -> None:
    variables = dict(item.split("=", 1) for item in container(host, "one").attrs["Config"]["Env"])
    key = variables["MLJUPYTER_REPLICA_KEY"]
    assert re.fullmatch(r"[0-9a-f]{64}", key)
    holding = files_holding(host.directory, key.encode())
    assert {path.name for path in holding} == {"eds-one.one.json"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in holding)
    assert key not in json.dumps(host.client.endpoint("one").document())


def test_a_container_that_tries_an_image_answers_nobody_else_either(host: Machine) -> None:
    # The script itself asks for its own schema, as anybody could: without a key.
    assert smoke_test.run(build(CURIOUS), "http://127.0.0.1:5001/swagger.json") == "reached: 401"


def test_a_scoring_server_of_an_earlier_release_is_served_and_gets_no_key(host: Machine) -> None:
    deployed(host, "old", build(SERVER_BEFORE, BEFORE % "LABEL mljupyter/plan=before\n"))
    headers, variables = score(host, "old", **{"x-mlj-replica-key": "forged"}).json()
    assert headers.keys() == {"x-mlj-start"}
    assert "MLJUPYTER_REPLICA_KEY" not in variables
    log = (host.directory / "control" / "controller.log").read_text()
    assert "scoring server of an earlier release" in log


def test_a_server_of_the_users_own_can_know_its_router(host: Machine) -> None:
    deployed(host, "own", build(SERVER_BEFORE, BEFORE % ""))
    headers, variables = score(host, "own").json()
    assert headers["x-mlj-replica-key"] == variables["MLJUPYTER_REPLICA_KEY"]


def test_a_container_without_limits_cannot_take_the_machine(host: Machine) -> None:
    limits = container(host, "one").attrs["HostConfig"]
    machine_bytes = docker.from_env().info()["MemTotal"]
    assert 0 < limits["Memory"] <= 0.75 * machine_bytes
    assert limits["MemorySwap"] == limits["Memory"]
