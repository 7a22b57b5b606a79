"""Anything at all as a request to the controller, as its state, as a body: no exception that nobody has thought of."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mljupyter.controller.storage.store import Store
from mljupyter.errors import MLJupyterError
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.targets.machine.client import ControllerClient
from tests.fault_table import Fault
from tests.system.conftest import Machine
from tests.system.targets import Local
from tests.system.test_versions import endpoint
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
WORDS = st.sampled_from(["spec", "name", "versions", "code", "limits", "scaling", "key", "revoke", "version", "port"])
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4)
)
PATHS = st.sampled_from(
    [
        *("/v1/endpoints", "/v1/endpoints/echo", "/v1/endpoints/{}", "/v1/endpoints/{}/keys/primary", "/v1/router"),
        *("/v1/endpoints/echo/rollout", "/v1/endpoints/echo/promote", "/v1/endpoints/echo/rollback"),
        *("/v1/endpoints/echo/token", "/v1/endpoints/echo/logs", "/v1/endpoints/echo/metrics", "/v1/metrics", "/{}"),
    ]
)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "OPTIONS"])
BODIES = ANYTHING.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    directory = (tmp_path_factory.mktemp("fuzz") / "workspace").resolve()
    directory.mkdir(mode=0o700)
    machine = Machine(directory, ControllerClient(directory), ArtifactStore(directory / "artifacts"))
    try:
        machine.healthy(machine.spec())
        yield machine
    finally:
        with contextlib.suppress(Exception):
            machine.client.delete("echo")
        machine.client.stop(force=True)


@pytest.mark.faults(29, "any request to the controller's interface")
def test_any_request_to_the_controller_is_answered_or_refused_with_a_reason(served: Machine, fault: Fault) -> None:
    socket = (served.directory / "control" / "run").resolve() / "controller.sock"
    pid = served.client.ensure()["pid"]
    uri = str(served.client.endpoint("echo").status.scoring_uri)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=HANG_SECONDS) as client:

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @given(METHODS, PATHS, st.text(max_size=12), BODIES, st.text(max_size=8))
        def ask(method: str, path: str, name: str, body: bytes, query: str) -> None:
            url = f"http://controller{path.format(quote(name, safe=''))}?since={quote(query)}&lines={quote(query)}"
            answer = client.request(method, url, content=body)
            fault.answered(1, answer.status_code >= 500)
            assert answer.status_code < 500, (method, url, body, answer.text)
            if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
                assert {"code", "message"} <= set(answer.json())
                assert "Traceback" not in answer.text

        ask()
    assert served.client.running()["pid"] == pid
    assert httpx.post(uri).status_code == 200


@pytest.mark.faults(29, "any bytes in the state file")
def test_a_state_file_with_any_damage_is_read_or_refused_with_a_reason(
    machine: Machine, tmp_path: Path, fault: Fault
) -> None:
    machine.healthy(endpoint(Local(machine), {"aaa": 0}))
    machine.client.stop()
    whole = (machine.directory / "control" / "controller.db").read_bytes()

    @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.binary(min_size=1, max_size=40)), max_size=8))
    def read(changes: list[tuple[int, bytes]]) -> None:
        content = bytearray(whole)
        for place, written in changes:
            content[place : place + len(written)] = written
        path = tmp_path / "controller.db"
        for part in tmp_path.glob("controller.db*"):
            part.unlink(missing_ok=True)
        path.write_bytes(content)
        fault.answered(1)
        with contextlib.suppress(MLJupyterError), contextlib.closing(Store(path)) as store:
            for name in store.names():
                store.get(name)
                store.keys(name)

    read()
    machine.client.ensure()


@pytest.mark.faults(29, "any bytes as the body of a request")
def test_any_body_is_answered_and_the_replica_lives(served: Machine, fault: Fault) -> None:
    uri = str(served.client.endpoint("echo").status.scoring_uri)
    replicas = set(served.replicas())
    with httpx.Client() as client:

        @settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(max_size=500), st.sampled_from(["application/json", "text/csv", "x", ""]))
        def ask(body: bytes, content_type: str) -> None:
            answer = client.post(uri, content=body, headers={"content-type": content_type})
            fault.answered(1, answer.status_code >= 500)
            assert answer.status_code in (200, 400, 415), (body, answer.text)

        ask()
    assert set(served.replicas()) == replicas
