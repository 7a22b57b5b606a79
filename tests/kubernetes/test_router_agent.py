"""A router pod follows the API server: here its agent and its Envoy are processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router import process as router_process
from mljupyter.controller.router.demand import DemandReader
from mljupyter.controller.router.drain import IDLE_WITHIN
from mljupyter.controller.router.local_http import LocalHttp
from mljupyter.engine.envoy import activator
from mljupyter.engine.envoy.listener import Listening, Pair, PublicAddress
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.errors import MLJupyterError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.published import PublishedRoute
from mljupyter.kubernetes.operator.router_pod import RouterPod as OperatorsView
from mljupyter.kubernetes.router_agent.__main__ import memory_limit
from mljupyter.spec import RequestLimits, RouterSpec, RouterTls
from tests.kubernetes.cluster import Cluster, own_namespace
from tests.ports import free_port
from tests.system.certificates import pem_pair
from tests.testbed import needed
from tests.waiting import HANG_SECONDS, wait_until

SECRET = "5" * 64
REVISION = "0123456789abcdef"
LISTENING = Listening(machine="router")
POD_MEMORY = 768 << 20


@dataclass
class Replica:
    """A small HTTP server in the place of a replica."""

    port: int
    keys: list[str | None] = field(default_factory=list)


@pytest.fixture
def replica() -> Iterator[Replica]:
    with running_replica("127.0.0.1") as found:
        yield found


@contextlib.contextmanager
def running_replica(ip: str, port: int = 0) -> Iterator[Replica]:
    """Run a replica at an address of this machine."""
    found = Replica(port)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            found.keys.append(next((value for name, value in self.headers.items() if value == "replica-key"), None))
            self.send_response(200)
            self.send_header("content-length", "4")
            self.end_headers()
            self.wfile.write(b"done")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer((ip, port), Handler)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class RouterPod:
    """The process of a router pod, with its ports and its directory."""

    def __init__(self, directory: Path, kubeconfig: Path, namespace: str) -> None:
        self.directory = directory
        self.port, self.agent_port = free_port(), free_port()
        self._command = [
            *(sys.executable, "-m", "mljupyter.kubernetes.router_agent", "--namespace", namespace),
            *("--directory", str(directory), "--port", str(self.port), "--address", "127.0.0.1"),
            *("--agent-port", str(self.agent_port), "--secret-file", str(directory / "secret")),
        ]
        self.kubeconfig = kubeconfig
        (directory / "secret").write_text(SECRET)
        self.agent = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.agent_port}", headers={names.SECRET_HEADER: SECRET}
        )
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}/api/v1/service")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.directory / "agent.log").open("ab") as log:
            command = [*self._command, "--kubeconfig", str(self.kubeconfig)]
            environment = {**os.environ, names.MEMORY_LIMIT_VARIABLE: str(POD_MEMORY)}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def is_ready(self) -> bool:
        try:
            return (await self.agent.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def answers(self) -> bool:
        try:
            return (await self.agent.get("/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async def score(self, endpoint: str = "iris", key: str = "key-1") -> int:
        answer = await self.client.post(f"/{endpoint}/score", content=b"{}", headers={"authorization": f"Bearer {key}"})
        return answer.status_code

    async def in_force(self, version: str, endpoint: str = "iris") -> None:
        async def there() -> bool:
            answer = await self.agent.get(f"/v1/routes/{endpoint}", params={"version": version, "timeout": "10"})
            assert answer.status_code in (200, 202), answer.text
            return answer.status_code == 200

        await until(there, f"version {version} of {endpoint}")

    async def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for router in router_process.running(self.directory / "router"):
            router.identity.signal(signal.SIGKILL)
        await self.agent.aclose()
        await self.client.aclose()


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not await condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with own_namespace(Path(needed("MLJUPYTER_TEST_KUBECONFIG"))) as found:
        yield found


@pytest.fixture
async def pod(cluster: Cluster, short_path: Path) -> AsyncIterator[RouterPod]:
    """A router that is ready, and has no endpoints yet."""
    found = RouterPod(short_path, Path(needed("MLJUPYTER_TEST_KUBECONFIG")), cluster.namespace)
    await cluster.listen(LISTENING)
    found.start()
    try:
        await until(found.is_ready, "the router is ready")
        yield found
    finally:
        await found.close()


def route(*keys: str, endpoint: str = "iris", without: tuple[str, ...] = (), wake_wait_ms: int = 0) -> PublishedRoute:
    limits, waits = RequestLimits(), wake_wait_ms > 0
    version = VersionRoute(endpoint, 100, (), limits, waiting=waits, wake_wait_ms=wake_wait_ms)
    return PublishedRoute(
        EndpointRoute(endpoint, (version,), endpoint, keys or ("key-1",)),
        revisions={endpoint: (REVISION,)},
        keys={endpoint: {REVISION: "replica-key"}},
        without=without,
    )


async def serving(cluster: Cluster, pod: RouterPod, replica: Replica) -> None:
    """Publish an endpoint with one ready replica, which answers through the router."""
    await cluster.pod("iris-1", "iris", "iris", REVISION, replica.port)
    await cluster.ready("iris-1")
    await pod.in_force(await cluster.publish(route()))
    await scores(pod, 200)


async def scores(pod: RouterPod, status: int) -> None:
    async def does() -> bool:
        return await pod.score() == status

    await until(does, f"the endpoint answers {status}")


async def counted_by(operator: OperatorsView) -> int:
    """Return the requests of the endpoint that the operator has read."""
    _, statistics = await operator.statistics()
    return statistics.clusters["iris.iris"].counts.requests


async def counts(operator: OperatorsView, requests: int) -> None:
    """Return when the operator has read a number of requests of the endpoint; more are a failure."""

    async def are_read() -> bool:
        found = await counted_by(operator)
        assert found <= requests
        return found == requests

    await until(are_read, f"{requests} requests are counted")


async def test_the_memory_of_envoy_is_bounded_by_that_of_its_pod(pod: RouterPod) -> None:
    bootstrap = json.loads((pod.directory / "router" / "bootstrap.json").read_text())
    (heap,) = [one for one in bootstrap["overload_manager"]["resource_monitors"] if one["name"].endswith("fixed_heap")]
    assert heap["typed_config"]["max_heap_size_bytes"] == POD_MEMORY // 2


@pytest.mark.parametrize("text", ["", "0", "1Gi", "-1", "1.5"])
def test_a_memory_limit_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(MLJupyterError, match=names.MEMORY_LIMIT_VARIABLE):
        memory_limit({names.MEMORY_LIMIT_VARIABLE: text})


async def test_a_published_route_leads_to_its_ready_pods_with_their_key(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    assert replica.keys[-1] == "replica-key"


async def test_a_pod_that_is_not_ready_gets_no_requests_beside_a_ready_one(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)

    async def only_the_other_answers() -> bool:
        before = len(replica.keys)
        assert [await pod.score() for _ in range(10)] == [200] * 10
        return len(replica.keys) == before

    with running_replica("127.0.0.2", replica.port):
        await cluster.pod("iris-2", "iris", "iris", REVISION, replica.port)
        await cluster.ready("iris-2", ip="127.0.0.2")
        await cluster.ready("iris-1", ready=False)
        await until(only_the_other_answers, "the unready pod gets no requests")
        await cluster.remove("iris-1")
        await cluster.remove("iris-2")
        await scores(pod, 503)


async def test_an_unready_pod_gets_the_requests_when_no_other_one_can(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await cluster.pod("iris-1", "iris", "iris", REVISION, replica.port)
    await cluster.ready("iris-1", ready=False)
    await pod.in_force(await cluster.publish(route()))
    await scores(pod, 200)


async def test_a_drained_pod_gets_no_requests_although_it_is_ready(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    await pod.in_force(await cluster.publish(route(without=("iris-1",))))
    assert await pod.score() == 503


async def test_a_replaced_key_is_refused_once_the_new_route_is_in_force(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    await pod.in_force(await cluster.publish(route("key-2")))
    assert await pod.score(key="key-1") == 401
    assert await pod.score(key="key-2") == 200


async def test_a_withdrawn_route_is_gone(cluster: Cluster, pod: RouterPod, replica: Replica) -> None:
    await serving(cluster, pod, replica)
    await cluster.withdraw("iris")
    await pod.in_force("")
    assert await pod.score() == 404


async def test_a_route_that_cannot_be_read_is_refused_and_the_others_follow(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    await cluster.publish_text("iris", json.dumps({"version": "bad", "route": {"name": 1}}))
    answer = await pod.agent.get("/v1/routes/iris", params={"version": "bad", "timeout": "10"})
    assert answer.status_code == 409
    assert "route" in answer.json()["message"]
    await pod.in_force(await cluster.publish(route(endpoint="wine")), "wine")
    assert await pod.score() == 200


async def test_a_route_that_envoy_refuses_leaves_the_others_in_force(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    bad = PublishedRoute(
        EndpointRoute("bad", route().route.versions, "iris", ("k",), sticky_header="not a\nheader", port=pod.port)
    )
    version = await cluster.publish(bad)

    async def refused() -> bool:
        answer = await pod.agent.get("/v1/routes/bad", params={"version": version, "timeout": "10"})
        return answer.status_code == 409

    await until(refused, "the refusal")
    await pod.in_force(await cluster.publish(route("key-2")))
    assert await pod.score(key="key-2") == 200


async def test_a_router_serves_on_while_its_agent_restarts(cluster: Cluster, pod: RouterPod, replica: Replica) -> None:
    await serving(cluster, pod, replica)
    before = (await pod.agent.get("/v1/status")).json()["identity"]
    operator = OperatorsView("router", "uid", f"127.0.0.1:{pod.agent_port}", SECRET)
    requests = await counted_by(operator)
    pod.kill()
    assert await pod.score() == 200
    await cluster.publish(route("key-2"))
    pod.start()
    await until(pod.is_ready, "the router is ready")
    await pod.in_force(route("key-2").version)
    assert await pod.score(key="key-1") == 401
    assert (await pod.agent.get("/v1/status")).json()["identity"] == before
    await counts(operator, requests + 1)  # the operator knows another state than the new agent
    await operator.close()


async def test_without_the_api_server_a_restarted_router_serves_as_before(
    cluster: Cluster, pod: RouterPod, replica: Replica, tmp_path: Path
) -> None:
    await serving(cluster, pod, replica)
    pod.kill()
    for router in router_process.running(pod.directory / "router"):  # as when the container ends
        router.identity.signal(signal.SIGKILL)
        await router.ended()
    document = yaml.safe_load(pod.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    pod.kubeconfig = tmp_path / "unreachable"
    pod.kubeconfig.write_text(yaml.safe_dump(document))
    pod.start()
    await until(pod.answers, "the agent answers")

    async def answers() -> bool:
        try:
            return await pod.score() == 200
        except httpx.TransportError:
            return False

    await until(answers, "the endpoint answers")
    assert not await pod.is_ready()
    assert (await pod.agent.get("/v1/status")).json()["problem"]["code"] == "ApiServerUnreachable"


async def test_statistics_are_read_through_the_agent_with_its_secret_alone(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    admin = LocalHttp(f"127.0.0.1:{pod.agent_port}", 5, {names.SECRET_HEADER: SECRET})
    found = await DemandReader(admin).read({})
    await admin.close()
    assert "iris.iris" in found
    operator = OperatorsView("router", "uid", f"127.0.0.1:{pod.agent_port}", SECRET)
    before = await counted_by(operator)
    for _ in range(5):
        assert await pod.score() == 200
    await counts(operator, before + 5)
    await operator.close()
    for path in (
        "/v1/statistics",
        "/stats",
        "/stats/prometheus",
        "/clusters",
        "/v1/status",
        "/v1/load",
        "/v1/listening",
        "/v1/routes/iris",
    ):
        for headers in ({names.SECRET_HEADER: "wrong"}, {names.SECRET_HEADER: ""}):
            assert (await pod.agent.get(path, headers=headers)).status_code == 401


async def answers_by(operator: OperatorsView) -> int:
    """Return how many answers a router has counted, those without a valid key too."""
    _, found = await operator.statistics()
    cluster = found.clusters.get("iris.iris")
    return cluster.answers.requests if cluster is not None and cluster.answers is not None else 0


async def followed(operator: OperatorsView, told: list[int], pod: RouterPod) -> None:
    """Read a router each second, as the operator does, until it has ended. A reading that fails is repeated."""
    while pod.process is not None and pod.process.poll() is None:
        with contextlib.suppress(ControllerError):
            told.append(await answers_by(operator))
        await asyncio.sleep(1)


async def test_the_load_of_a_router_grows_with_its_requests(cluster: Cluster, pod: RouterPod, replica: Replica) -> None:
    await serving(cluster, pod, replica)
    before = (await pod.agent.get("/v1/load")).json()
    for _ in range(50):
        assert await pod.score() == 200

    async def counted() -> bool:  # Envoy merges its histograms after an answer
        return _turns((await pod.agent.get("/v1/load")).json()) >= _turns(before) + 100

    await until(counted, "two turns of the event loop for each request")
    after = (await pod.agent.get("/v1/load")).json()
    assert after["identity"] == before["identity"]
    assert after["cpuSeconds"] > before["cpuSeconds"]
    assert all(0 <= duration < 10 for duration, _ in after["turns"])


def _turns(load: dict[str, Any]) -> int:
    return sum(count for _, count in load["turns"])


async def test_a_router_that_is_asked_to_end_is_not_ready_and_answers_until_its_clients_have_gone(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    operator = OperatorsView("router", "uid", f"127.0.0.1:{pod.agent_port}", SECRET)

    async def all_have_ended() -> bool:
        return await answers_by(operator) == await counted_by(operator)

    await until(all_have_ended, "the answers before are counted")
    told = [await answers_by(operator)]
    reading = asyncio.create_task(followed(operator, told, pod))
    given = 0
    assert pod.process is not None
    pod.process.send_signal(signal.SIGTERM)

    async def not_ready() -> bool:
        return not await pod.is_ready()

    await until(not_ready, "the router is not ready")

    async def asks_to_close() -> bool:
        nonlocal given
        headers = {"authorization": "Bearer key-1"}
        answer = await pod.client.post("/iris/score", content=b"{}", headers=headers)
        assert answer.status_code == 200
        assert await pod.score(key="wrong") == 401
        given += 2
        return bool(answer.headers.get("connection") == "close")

    async def ended() -> bool:
        return pod.process is not None and pod.process.poll() is not None

    await until(asks_to_close, "answers ask clients to close")
    await until(ended, "the agent ends")
    assert pod.process.returncode == 0
    await reading
    await operator.close()
    assert told[-1] == told[0] + given, "it ends when the operator has its last counts"
    assert not router_process.running(pod.directory / "router")


async def test_a_router_that_leaves_keeps_a_request_until_its_version_has_a_replica(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await pod.in_force(await cluster.publish(route(wake_wait_ms=60_000)))
    request = asyncio.create_task(pod.score())
    await until(lambda: tried_more_often(pod, 0), "the request waits for a replica")
    assert pod.process is not None
    pod.process.send_signal(signal.SIGTERM)

    async def is_closed() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", pod.port)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    await until(is_closed, "the router accepts no more connections")
    before = await tries_to_wait(pod)

    async def goes_on() -> bool:
        return request.done() or await tried_more_often(pod, before + 20)

    await until(goes_on, "the request still waits, or is answered")
    assert not request.done(), "no replica was there to answer"
    await cluster.pod("iris-1", "iris", "iris", REVISION, replica.port)
    await cluster.ready("iris-1")
    assert await request == 200


async def tries_to_wait(pod: RouterPod) -> int:
    """Return how often the requests that wait for a replica have been tried."""
    (router,) = router_process.running(pod.directory / "router")
    admin = LocalHttp(f"unix:{router.admin}", timeout=5)
    try:
        _, body = await admin.get("/stats", format="json", filter=rf"^http\.{activator.NAME}\.downstream_rq_total$")
    finally:
        await admin.close()
    (found,) = json.loads(body)["stats"]
    return int(found["value"])


async def tried_more_often(pod: RouterPod, tries: int) -> bool:
    return await tries_to_wait(pod) > tries


async def test_a_router_without_endpoints_ends_although_a_client_keeps_its_connection(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)  # the client's connection stays open from here on
    await cluster.withdraw("iris")
    await pod.in_force("")
    assert pod.process is not None
    began = time.monotonic()
    pod.process.send_signal(signal.SIGTERM)
    wait_until(lambda: pod.process is not None and pod.process.poll() is not None, "the agent ends")
    assert time.monotonic() - began < IDLE_WITHIN
    assert not router_process.running(pod.directory / "router")


@pytest.mark.alone  # it compares times with what is promised
async def test_a_pod_is_routed_within_a_second_after_it_is_ready(
    cluster: Cluster, pod: RouterPod, replica: Replica, record_property: Callable[[str, object], None]
) -> None:
    await serving(cluster, pod, replica)
    times = []
    for _ in range(50):
        await cluster.ready("iris-1", ready=False, withdrawn=True)
        await scores(pod, 503)
        began = time.monotonic()
        await cluster.ready("iris-1")
        await scores(pod, 200)
        times.append(time.monotonic() - began)
    times.sort()
    record_property("seconds to routed, median and p99", (times[25], times[49]))
    print("median", times[25], "p99", times[49])
    assert times[25] < 1.0


def with_tls(pair: tuple[str, str], public: PublicAddress) -> Listening:
    tls = RouterTls(leaf_domain_label="team")
    spec = RouterSpec(address="0.0.0.0", allow_without_authentication=True, tls=tls)
    return Listening(spec, {"": Pair(*pair, ("localhost", "127.0.0.1"))}, machine="", public=public)


async def test_a_request_without_tls_is_sent_to_the_port_of_the_client_or_the_public_one(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    pair = pem_pair("localhost", "127.0.0.1")
    for public, there in (
        (PublicAddress("192.0.2.7", 30080), "https://192.0.2.7:30080"),
        (PublicAddress("lb.example", 443), "https://lb.example"),
    ):
        await listens(cluster, pod, with_tls(pair, public))
        for host, expected in (
            (f"localhost:{pod.port}", f"https://localhost:{pod.port}"),
            ("127.0.0.1:54321", "https://127.0.0.1:54321"),
            ("localhost", "https://localhost"),
            ("alias.example:8000", there),
        ):
            answer = await pod.client.post("/iris/score", content=b"{}", headers={"host": host})
            assert (answer.status_code, answer.headers["location"]) == (308, f"{expected}/api/v1/service/iris/score")


async def test_another_certificate_is_in_force_when_the_agent_says_so_and_open_connections_stay(
    cluster: Cluster, pod: RouterPod, replica: Replica
) -> None:
    await serving(cluster, pod, replica)
    public = PublicAddress("192.0.2.7", 443)
    pairs = [pem_pair("localhost") for _ in range(3)]
    await listens(cluster, pod, with_tls(pairs[0], public))
    uri, key = f"https://localhost:{pod.port}/api/v1/service/iris/score", {"authorization": "Bearer key-1"}
    async with httpx.AsyncClient(verify=trusting(pairs[0]), headers=key) as kept:
        assert (await kept.post(uri, content=b"{}")).status_code == 200
        for pair in pairs[1:]:
            await listens(cluster, pod, with_tls(pair, public))
            async with httpx.AsyncClient(verify=trusting(pair), headers=key) as fresh:
                assert (await fresh.post(uri, content=b"{}")).status_code == 200
            assert (await kept.post(uri, content=b"{}")).status_code == 200, "on its connection of before"


def trusting(pair: tuple[str, str]) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=pair[0])


async def listens(cluster: Cluster, pod: RouterPod, listening: Listening) -> None:
    """Publish listener settings, and wait until they are in force."""
    version = await cluster.listen(listening)

    async def there() -> bool:
        answer = await pod.agent.get("/v1/listening", params={"version": version, "timeout": "10"})
        assert answer.status_code in (200, 202), answer.text
        return answer.status_code == 200

    await until(there, "the listener settings are in force")
