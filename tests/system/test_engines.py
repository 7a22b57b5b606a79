"""Engines that restart, engines with TLS, engines behind SSH, engines of a context: all of them real."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from mljupyter.build.images import BuilderUnavailableError
from mljupyter.build.images.docker.builder import DockerBuilder
from mljupyter.build.images.docker.engine import connect
from mljupyter.runtimes.process import processes
from mljupyter.spec import EndpointState
from tests.second_engine import SecondEngine
from tests.ssh_server import engine_over_ssh
from tests.system.conftest import Machine
from tests.system.test_docker import ECHO, build, containers, serves, spec
from tests.testbed import needed
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
IMAGE = "mljupyter/echo:1"


@pytest.fixture(scope="module")
def second() -> Iterator[SecondEngine]:
    needed("MLJUPYTER_TEST_DOCKER")
    # The path of its socket may have 107 bytes.
    with tempfile.TemporaryDirectory(prefix="mljt-") as directory:
        engine = SecondEngine(Path(directory))
        engine.prepare()
        try:
            engine.start()
            engine.take(build(ECHO), IMAGE)
            yield engine
        finally:
            engine.clean_up()


@pytest.fixture
def here(second: SecondEngine, machine: Machine) -> Iterator[Machine]:
    """A workspace whose containers are removed from the second engine in the end."""
    yield machine
    client = second.client()
    for container in containers(client, machine):
        container.remove(force=True)
    client.close()


def test_a_restarted_engine_is_noticed_and_its_containers_are_started_again_within_ten_seconds(
    here: Machine, second: SecondEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", second.address)
    record = here.settle(here.client.create(spec(IMAGE)))
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    second.stop()
    second.start()
    began = time.monotonic()
    wait_until(lambda: serves(here), "it serves again")
    assert time.monotonic() - began < promised(10)
    client = second.client()
    assert len(containers(client, here, all=False)) == 1
    client.close()


def test_an_engine_with_tls_accepts_only_clients_with_a_certificate(
    here: Machine, second: SecondEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", second.tls_address)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(second.certificates))
    record = here.settle(here.client.create(spec(IMAGE)))
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    wait_until(lambda: serves(here), "it serves")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    import trustme

    unknown = trustme.CA()
    shutil.copy(second.certificates / "ca.pem", stranger)
    certificate = unknown.issue_cert("stranger@example.com")
    certificate.cert_chain_pems[0].write_to_path(stranger / "cert.pem")
    certificate.private_key_pem.write_to_path(stranger / "key.pem")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(stranger))
    with pytest.raises(BuilderUnavailableError, match=r"DOCKER_HOST(.|\n)*certificates"):
        DockerBuilder(here.store)


def test_the_current_context_says_which_engine_is_meant(
    second: SecondEngine, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    files = {name: second.certificates / f"{name}.pem" for name in ("ca", "cert", "key")}
    option = f"host={second.tls_address}," + ",".join(f"{name}={path}" for name, path in files.items())
    subprocess.run(["docker", "context", "create", "--docker", option, "far"], check=True, capture_output=True)
    client = second.client()
    for use in (lambda: monkeypatch.setenv("DOCKER_CONTEXT", "far"), lambda: docker_context_use("far", monkeypatch)):
        use()
        far = connect()
        assert far.info()["ID"] == client.info()["ID"]
        dockerfile = io.BytesIO(f"FROM {IMAGE}\nLABEL made=by-context\n".encode())
        image, _ = far.images.build(fileobj=dockerfile, rm=True)
        assert client.images.get(image.id).labels["made"] == "by-context"
        far.images.remove(image.id)
        far.close()
    client.close()
    for name in ("nowhere", "far/../far"):
        monkeypatch.setenv("DOCKER_CONTEXT", name)
        with pytest.raises(BuilderUnavailableError, match=f"context '{name}' does not exist(.|\n)*docker context ls"):
            DockerBuilder(machine.store)


def docker_context_use(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_CONTEXT")
    subprocess.run(["docker", "context", "use", name], check=True, capture_output=True)


@pytest.fixture
def over_ssh(second: SecondEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The second engine's address by SSH."""
    with engine_over_ssh(second.address, tmp_path, monkeypatch) as address:
        yield address


def test_containers_of_an_engine_behind_ssh_are_reached_through_it(
    over_ssh: str, second: SecondEngine, here: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", over_ssh)
    record = here.settle(here.client.create(spec(IMAGE)))
    assert record.status.state is EndpointState.HEALTHY, record.status.problem
    wait_until(lambda: serves(here), "it serves")
    client = second.client()
    (container,) = containers(client, here, all=False)
    bindings = container.attrs["HostConfig"]["PortBindings"].values()
    assert {binding["HostIp"] for ports in bindings for binding in ports} == {"127.0.0.1"}
    client.close()

    (before,) = tunnels(here)
    os.kill(before, 9)
    wait_until(lambda: serves(here), "another tunnel leads to it")
    assert before not in tunnels(here)
    os.kill(next(iter(here.controllers())), 9)
    wait_until(lambda: not here.controllers(), "the controller is gone")
    assert httpx.post(record.status.scoring_uri).status_code == 401, "it serves without a controller"
    kept = tunnels(here)
    assert here.settle(here.client.endpoint("echo")).status.state is EndpointState.HEALTHY
    assert tunnels(here) == kept, "the next controller takes the tunnel over"
    here.client.delete("echo")
    wait_until(lambda: tunnels(here) == [], "the tunnel has ended with its container")


def tunnels(machine: Machine) -> list[int]:
    runtime = str((machine.directory / "control" / "run").readlink())
    found = processes.find(lambda command: any(part.startswith(runtime) and ".ssh:" in part for part in command))
    return [identity.pid for identity, _ in found]
