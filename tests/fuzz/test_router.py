"""Any bytes at the router's port: a script behind a key is never run without it, and the router serves on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given

from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import Authentication
from mljupyter.targets.machine.client import ControllerClient
from tests.fuzz.budget import Budget
from tests.fuzz.http_bytes import KEY, PATH, conversations
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
MARK = b"answered-by-the-script"
SCRIPT = """
    import os

    def init():
        pass

    def run(data):
        with open(os.environ["RUNS"], "a") as runs:
            runs.write("x")
        return "answered-by-the-script" if os.environ["LOCKED"] == "yes" else "open"
    """
_SILENCE_SECONDS = 0.03


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, Path]]:
    """A machine with an endpoint behind a key and an open one, and the file in which the first counts its runs."""
    directory = (tmp_path_factory.mktemp("router") / "workspace").resolve()
    directory.mkdir(mode=0o700)
    machine = Machine(directory, ControllerClient(directory), ArtifactStore(directory / "artifacts"))
    runs = directory.parent / "runs"
    try:
        for name, authentication in (("locked", Authentication.KEY), ("open", Authentication.NONE)):
            counts = {
                "RUNS": str(runs if name == "locked" else "/dev/null"),
                "LOCKED": "yes" if name == "locked" else "",
            }
            spec = machine.spec(name, SCRIPT, authentication=authentication, environmentVariables=counts)
            machine.settle(machine.client.create(spec, primary_key=KEY if name == "locked" else None))
        yield machine, runs
    finally:
        for name in ("locked", "open"):
            with contextlib.suppress(Exception):
                machine.client.delete(name)
        machine.client.stop(force=True)


def said(raw: socket.socket, data: bytes) -> bytes:
    """Send bytes, and return what is answered until the connection is closed or silent."""
    received = b""
    with raw, contextlib.suppress(ConnectionError, TimeoutError):
        raw.sendall(data)
        raw.settimeout(_SILENCE_SECONDS)
        while part := raw.recv(65536):
            received += part
    return received


def test_no_bytes_without_the_key_run_the_script_and_the_router_lives(
    served: tuple[Machine, Path], budget: Budget
) -> None:
    machine, runs = served
    uri = str(machine.client.endpoint("locked").status.scoring_uri)
    port = urlsplit(uri).port
    assert port is not None
    assert urlsplit(uri).path == PATH
    routers = set(machine.routers())
    replicas = set(machine.replicas())

    @given(conversations)
    @budget.example
    def ask(data: bytes) -> None:
        connection = socket.create_connection(("127.0.0.1", port), HANG_SECONDS)
        assert MARK not in said(connection, data), "the script answered without the key"
        ran = runs.exists()
        runs.unlink(missing_ok=True)
        assert not ran, "the script ran without the key"

    budget.search(ask)
    assert set(machine.routers()) == routers, "the router ended"
    assert set(machine.replicas()) == replicas
    assert not runs.exists()
    answer = httpx.post(uri, headers={"Authorization": f"Bearer {KEY}"})
    assert (answer.status_code, MARK in answer.content, runs.read_text()) == (200, True, "x")
