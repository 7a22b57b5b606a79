"""Any sequence of requests to the controller: each is answered or refused with a reason, and the controller lives."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import signal
from collections.abc import Iterator
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.targets.machine.client import ControllerClient
from tests.fuzz.budget import SETTINGS, Budget
from tests.system.conftest import Machine
from tests.system.faults.test_fuzz import ANYTHING
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
NAMES = st.sampled_from(["fuzz-a", "fuzz-b", "kept"])
_FEWEST, _MOST = 1, 2  # replicas that a random number may ask for: this machine is to survive the test
odd_numbers = st.sampled_from(
    [
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "0",
        "1",
        "",
        " ",
        "0x10",
        "1_000",
        "٣",
        "9" * 400,
        "1e-400",
        "%00",
        "5e9",
    ]
)
odd_values = st.one_of(
    ANYTHING,
    st.sampled_from([-1, 0, 10**30, 1e308, "nan", "NaN", "\x00", "a" * 3000, "../x", "x\ny", "é", "\ud800", [], {}]),
)
queries = st.dictionaries(
    st.sampled_from(
        ["after", "timeout", "lines", "count", "most", "since", "every", "cursor", "version", "replica", "merge"]
    ),
    odd_numbers | st.text(max_size=5),
    max_size=3,
)
reads = st.sampled_from(
    [
        *("", "", "/keys", "/logs", "/logs/follow", "/records", "/scaling", "/metrics", "/history"),
        *("/../../status", "/%2e%2e", "/keys/primary", "/nothing"),
    ]
)
releases = st.sampled_from(
    ["rollout", "rollout/pause", "rollout/resume", "rollout/abort", "rollout/x", "promote", "rollback"]
)
plans = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["kept", "fuzz-a", "none"]) | odd_values,
        "steps": st.just([1, 100]) | odd_values,
        "everySeconds": st.integers(1, 5) | odd_values,
        "guard": st.sampled_from(["p95<200ms", "errors<1%"]) | odd_values,
        "number": st.integers(0, 3) | odd_values,
        "generation": st.integers(0, 3) | odd_values,
    },
)


@st.composite
def changed(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """A document of which up to two members are something else, or are not there."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 2))):
        inside: Any = document
        while True:
            key = draw(st.sampled_from(sorted(inside)))
            if not (isinstance(inside[key], dict) and inside[key] and draw(st.booleans())):
                break
            inside = inside[key]
        if draw(st.booleans()):
            del inside[key]
        else:
            inside[key if draw(st.booleans()) else draw(st.text(max_size=8))] = draw(odd_values)
        if not inside:
            break
    return bounded(document)


def bounded(value: Any, name: str = "") -> Any:
    """Return a document with numbers of replicas that this machine has room for, and without images."""
    if isinstance(value, dict):
        return {key: bounded(item, key) for key, item in value.items() if key != "image"}
    if isinstance(value, list):
        return [bounded(item) for item in value]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(max(value, -1), _MOST) if number and "eplicas" in name else value


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    directory = (tmp_path_factory.mktemp("api") / "workspace").resolve()
    directory.mkdir(mode=0o700)
    machine = Machine(directory, ControllerClient(directory), ArtifactStore(directory / "artifacts"))
    try:
        machine.healthy(machine.spec("kept"))
        yield machine
        for record in machine.client.endpoints():
            machine.client.delete(record.spec.name)
        machine.client.stop(force=True)
        wait_until(lambda: not machine.replicas(), "all replicas are gone")
    finally:
        for pid in (*machine.controllers(), *machine.routers(), *machine.replicas()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_any_sequence_of_requests_is_answered_and_the_controller_lives(served: Machine, budget: Budget) -> None:
    socket = (served.directory / "control" / "run").resolve() / "controller.sock"
    log = served.directory / "control" / "controller.log"
    pid = served.client.ensure()["pid"]
    base = served.client.endpoint("kept").spec.document()
    base["versions"]["kept"] |= {"limits": {"maxQueueWaitMs": 500}, "probe": {"periodSeconds": 10}, "tags": {"a": "b"}}
    base["versions"]["kept"] |= {
        "scaling": {"replicas": 1},
        "environmentVariables": {"A": "1"},
        "resources": {"cpu": 0.1},
    }
    client = httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=HANG_SECONDS)

    class Requests(RuleBasedStateMachine):
        read: ClassVar[int] = log.stat().st_size

        def ask(
            self, method: str, path: str, body: object = None, query: dict[str, str] | None = None
        ) -> httpx.Response:
            url = f"http://controller{path}?{urlencode(query or {}, errors='replace')}"
            # json.dumps writes NaN, Infinity and lone surrogates, as a client of another kind may.
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            try:
                with budget.failing():
                    answer = client.request(method, url, content=content)
                    assert answer.status_code < 500, (method, url, content[:3000], answer.text)
                    assert "Traceback" not in answer.text or "/logs" in path
                    if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
                        assert {"code", "message"} <= set(answer.json())
                    self.look_at_log()
            except httpx.TimeoutException as error:
                raise AssertionError(f"{method} {url} {content[:3000]!r} was not answered") from error
            return answer

        def look_at_log(self) -> None:
            with log.open("rb") as file:
                file.seek(Requests.read)
                new = file.read()
            Requests.read += len(new)
            assert b"Traceback" not in new, new.decode(errors="replace")[-6000:]

        @rule(
            name=NAMES,
            document=changed(base),
            odd=st.dictionaries(st.sampled_from(["overwrite", "primaryKey"]), odd_values),
        )
        def create(self, name: str, document: dict[str, Any], odd: dict[str, Any]) -> None:
            self.ask("POST", "/v1/endpoints", {**odd, "spec": {**document, "name": name}})

        @rule(document=changed(base), generation=st.none() | st.integers(0, 3) | odd_values)
        def replace(self, document: dict[str, Any], generation: object) -> None:
            self.ask(
                "PUT",
                f"/v1/endpoints/{quote(str(document.get('name'))[:50], errors='replace')}",
                {"spec": document, "generation": generation},
            )

        @rule(document=changed({"spec": base}) | ANYTHING)
        def replace_with_anything(self, document: object) -> None:
            self.ask("PUT", "/v1/endpoints/kept", document)

        @rule(name=NAMES, path=reads, query=queries)
        def look(self, name: str, path: str, query: dict[str, str]) -> None:
            self.ask("GET", f"/v1/endpoints/{name}{path}", b"", query)

        @rule(name=NAMES, which=st.sampled_from(["primary", "secondary", "third"]), key=odd_values)
        def regenerate(self, name: str, which: str, key: object) -> None:
            self.ask("POST", f"/v1/endpoints/{name}/keys/{which}", {"key": key})

        @rule(name=NAMES, what=releases, plan=plans | ANYTHING)
        def release(self, name: str, what: str, plan: object) -> None:
            self.ask("POST", f"/v1/endpoints/{name}/{what}", plan)

        @rule(name=NAMES, subject=odd_values)
        def token(self, name: str, subject: object) -> None:
            self.ask("POST", f"/v1/endpoints/{name}/token", {"subject": subject})

        @rule(settings=st.fixed_dictionaries({}, optional={"enabled": odd_values, "port": odd_values}) | ANYTHING)
        def measure(self, settings: object) -> None:
            self.ask("PUT", "/v1/metrics", settings)

        @rule(spec=changed({"limits": {"maxConnections": 1000}}))
        def route(self, spec: dict[str, Any]) -> None:
            self.ask("PUT", "/v1/router", {"spec": {"limits": spec.get("limits", {})}})

        @rule(
            nested=st.sampled_from(
                [b"[" * 200_000, b'{"a":' * 100_000, b"", b"\xff", b"{}", b'{"spec":{"name":1e999}}']
            )
        )
        def nest(self, nested: bytes) -> None:
            for method, path in (("POST", "/v1/endpoints"), ("PUT", "/v1/router"), ("PUT", "/v1/metrics")):
                self.ask(method, path, nested)

        @rule(name=st.sampled_from(["fuzz-a", "fuzz-b"]))
        def delete(self, name: str) -> None:
            self.ask("DELETE", f"/v1/endpoints/{name}")

        def teardown(self) -> None:
            """Look at the time here alone: a sequence that ends in the middle looks like another one to Hypothesis."""
            budget.look()

    budget.search(lambda: run_state_machine_as_test(Requests, settings=SETTINGS))
    client.close()
    assert served.client.running()["pid"] == pid, "the controller ended"
    assert len(served.routers()) == 1
    assert b"Traceback" not in log.read_bytes()
