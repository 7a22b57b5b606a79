"""Requests that kill, hang, lie about themselves or are never finished: each costs itself, and nobody else."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import textwrap
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from mljupyter.kubernetes.objects import names
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import ConnectionLimits
from mljupyter.targets.kubernetes.client import ClusterClient
from mljupyter.targets.machine.client import ControllerClient
from tests.conformance.conftest import CLUSTER, Site
from tests.fault_table import Fault
from tests.kubernetes.test_cluster_faults import Cluster
from tests.steady_load import SteadyLoad
from tests.system.conftest import Machine
from tests.system.targets import DOCKERFILE
from tests.system.test_errors import HEAD, raw
from tests.waiting import HANG_SECONDS, promised, wait_until

pytestmark = pytest.mark.system
DEADLY = """
    import ctypes, os

    def init():
        pass

    def run(data):
        if data.startswith("segfault"):
            ctypes.string_at(0)
        if data.startswith("exit"):
            os._exit(7)
        if data.startswith("memory"):
            return bytearray(1 << 62)
        if data.startswith("loop"):
            while True:
                pass
        return "well"
    """
TYPED = """
    from inference_schema.schema_decorators import input_schema
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

    def init():
        pass

    @input_schema("number", StandardPythonParameterType(1.0))
    def run(number):
        return str(number)
    """
TIMEOUT_MS = 1000
_ESTABLISHED = "01"  # in /proc/PID/net/tcp
_COUNTED_SECONDS = 3.0
LIMITS = {"scoringTimeoutMs": TIMEOUT_MS, "maxQueueWaitMs": 20_000, "maxBodyBytes": 10_000_000}
WITH_SCHEMA = DOCKERFILE.replace("pip install --quiet", "pip install --quiet inference-schema")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine with an endpoint that can be killed, and one that takes typed JSON."""
    directory = (tmp_path_factory.mktemp("hostile") / "workspace").resolve()
    directory.mkdir(mode=0o700)
    machine = Machine(directory, ControllerClient(directory), ArtifactStore(directory / "artifacts"))
    try:
        machine.healthy(machine.spec("deadly", DEADLY, limits=LIMITS, scaling={"replicas": 2}))
        machine.healthy(machine.spec("typed", TYPED, limits={"maxBodyBytes": 10_000_000}))
        yield machine
    finally:
        for name in ("deadly", "typed"):
            with contextlib.suppress(Exception):
                machine.client.delete(name)
        machine.client.stop(force=True)


def uri_of(machine: Machine, name: str) -> str:
    return str(machine.client.endpoint(name).status.scoring_uri)


@dataclass(frozen=True)
class Place:
    """A target with the endpoints ``deadly`` and ``typed``.

    Parameters:
        client: its endpoints.
        workers: returns the identities of the replicas that run there.
        received: returns the number of requests that the router has sent to the endpoint ``typed`` so far.
        routers: returns the pids of the router's processes.

    """

    client: ControllerClient | ClusterClient
    workers: Callable[[], set[str]]
    received: Callable[[], int]
    routers: Callable[[], list[int]]

    def uri(self, name: str) -> str:
        """Return the scoring URI of an endpoint."""
        return str(self.client.endpoint(name).status.scoring_uri)


@pytest.fixture(scope="module")
def on_cluster(attached: Site) -> Place:
    """The same endpoints on the real cluster."""
    for name, text, fields in (
        ("deadly", DEADLY, {"limits": LIMITS, "scaling": {"replicas": 2}}),
        ("typed", TYPED, {"limits": {"maxBodyBytes": 10_000_000}}),
    ):
        version = attached.runs(textwrap.dedent(text), WITH_SCHEMA)
        attached.healthy(attached.spec(name, only={**version, **fields}))

    def workers() -> set[str]:
        versions = [attached.client.endpoint(name).status.versions["only"] for name in ("deadly", "typed")]
        return {replica.id for version in versions for replica in version.replicas}

    def received() -> int:
        found = attached.client.metrics("typed", since=3600)["summary"]
        return int(sum(found["requests"]) - sum(found["client_errors"]))  # those that the router refuses count, too

    cluster = Cluster(attached)

    def routers() -> list[int]:
        return [
            pid for pod in cluster.pods(component=names.COMPONENT_ROUTER) for pid in cluster.processes(pod, "envoy")
        ]

    assert isinstance(attached.client, ClusterClient)
    return Place(attached.client, workers, received, routers)


@pytest.fixture(params=["local", CLUSTER])
def place(request: pytest.FixtureRequest) -> Place:
    """Each target whose router differs from the others'."""
    if request.param == CLUSTER:
        cluster: Place = request.getfixturevalue("on_cluster")
        return cluster
    machine: Machine = request.getfixturevalue("served")
    return Place(
        machine.client,
        lambda: set(map(str, machine.replicas())),
        lambda: counted(machine),
        lambda: list(machine.routers()),
    )


@contextlib.contextmanager
def limited(place: Place, **limits: float) -> Iterator[tuple[str, int]]:
    """Give the router other limits of connections; yield its address."""
    before = place.client.router().spec
    place.client.put_router(before.model_copy(update={"limits": ConnectionLimits(**limits)}))
    parts = urlsplit(place.uri("deadly"))
    yield str(parts.hostname), int(parts.port or 80)
    place.client.put_router(before)


@pytest.mark.faults(10, "run() that never returns, past the scoring timeout")
def test_a_request_past_its_time_is_504_at_once_and_its_neighbours_do_not_notice(place: Place, fault: Fault) -> None:
    uri = place.uri("deadly")
    over = []
    with (
        SteadyLoad(uri, clients=4, one_shot=1, requests=500, pause=0.005) as load,
        httpx.Client() as client,
    ):
        fault.under(load)
        for number in range(3):
            load.runs(50)
            began = time.monotonic()
            answer = client.post(uri, content=f"loop {number}")
            over.append(time.monotonic() - began - TIMEOUT_MS / 1000)
            assert (answer.status_code, answer.json()["code"]) == (504, "ScoringTimeout")
        load.runs(50)
    assert load.failed == 0, load.failures
    fault.recovered(min(over), "after the limit")
    assert min(over) < promised(0.25), "50 ms are the rule; the request may have waited for its turn before"


@pytest.mark.faults(11, "requests that segfault, exit and ask for all memory")
def test_a_poisonous_request_fails_alone_and_is_quarantined_after_three_deaths(place: Place, fault: Fault) -> None:
    uri = place.uri("deadly")
    with (
        SteadyLoad(uri, clients=4, one_shot=1, requests=500, pause=0.005) as load,
        httpx.Client() as client,
    ):
        fault.under(load)
        for poison, status in (("segfault", 502), ("exit", 502), ("memory", 500)):
            load.runs(50)
            assert client.post(uri, content=poison).status_code == status, poison
        began = time.monotonic()
        refused: list[httpx.Response] = []
        while len(refused) < 3 and time.monotonic() - began < HANG_SECONDS:
            answer = client.post(uri, content="exit always")
            assert answer.status_code == 502
            refused += [answer] if "quarantine" in answer.text or "killed" in answer.text else []
            load.runs(20)
        fault.recovered(time.monotonic() - began, "until refused unread")
        load.runs(50)
    assert len(refused) == 3, "each of the two replicas dies of it three times, not for ever"
    assert load.failed <= load.sent / 100, load.failures


NESTED = b"[" * 1_000_000
BODIES = {
    "over the limit": (b"1" * 10_000_001, "application/json", 413),
    "malformed": (b'{"number": ', "application/json", 400),
    "empty": (b"", "application/json", 400),
    "no UTF-8": (b'{"number": "\xff\xfe"}', "application/json", 400),
    "a million levels": (NESTED, "application/json", 400),
    "another member": (b'{"other": 1}', "application/json", 400),
    "a list": (b"[1]", "application/json", 400),
    "another type": (b"number=1", "application/x-www-form-urlencoded", 415),
}


NUMBER = b'{"number": 3}'
CODED = {
    "gzip": (gzip.compress(NUMBER), 200),
    "deflate": (zlib.compress(NUMBER), 200),
    "identity": (NUMBER, 200),
    "GZIP": (gzip.compress(NUMBER)[:-4], 400),
    "br": (NUMBER, 415),
    "gzip, gzip": (gzip.compress(gzip.compress(NUMBER)), 415),
}


@pytest.mark.faults(12, "bodies too large, malformed, empty, no UTF-8, a million levels deep, a gzip bomb")
def test_a_body_that_cannot_be_read_is_refused_with_its_reason_and_kills_nothing(place: Place, fault: Fault) -> None:
    uri = place.uri("typed")
    workers = place.workers()
    with SteadyLoad(place.uri("deadly"), clients=2, one_shot=1, requests=300, pause=0.005) as load:
        fault.under(load)
        with httpx.Client() as client:
            for name, (body, content_type, status) in BODIES.items():
                answer = client.post(uri, content=body, headers={"content-type": content_type})
                assert answer.status_code == status, (name, answer.text)
                assert len(answer.json()["message"]) > 10, name
            bomb = {"content-type": "application/json", "content-encoding": "gzip"}
            answer = client.post(uri, content=gzip.compress(b" " * 50_000_000), headers=bomb)
            assert answer.status_code == 413, "it is unpacked up to the limit"
            for coding, (body, status) in CODED.items():
                headers = {"content-type": "application/json", "content-encoding": coding}
                answer = client.post(uri, content=body, headers=headers)
                assert (answer.status_code, status == 200 or coding.lower() in answer.json()["message"]) == (
                    status,
                    True,
                )
            number = client.post(uri, content=b'{"number": NaN}', headers={"content-type": "application/json"})
            assert (number.status_code, number.json()) == (200, "nan")
            good = client.post(uri, content=b'{"number": 3}', headers={"content-type": "application/json"})
            assert (good.status_code, good.json()) == (200, "3")
    assert load.failed == 0, load.failures
    assert place.workers() == workers


@pytest.mark.faults(13, "2,000 idle connections, slow headers and bodies")
def test_requests_that_never_complete_time_out_and_slow_no_other_client(place: Place, fault: Fault) -> None:
    uri = place.uri("deadly")
    path = urlsplit(uri).path.encode()

    def measured() -> float:
        with SteadyLoad(uri, clients=2, one_shot=0, requests=1000) as load:
            fault.under(load)
        assert load.failed == 0, load.failures
        return load.milliseconds["p99"]

    with limited(place, headers_seconds=2, request_seconds=2) as address:
        alone = max(measured(), measured())
        with contextlib.ExitStack() as stack:

            def connections(number: int) -> list[socket.socket]:
                made = (socket.create_connection(address, timeout=HANG_SECONDS) for _ in range(number))
                return [stack.enter_context(one) for one in made]

            silent = connections(2000)
            crowded = measured()
            for one in silent[:100]:  # on a slow machine they are closed by now: nothing came for 15 s
                one.close()
            began = time.monotonic()
            unfinished = connections(100)
            for number, one in enumerate(unfinished):
                body = b"host: localhost\r\ncontent-length: 9\r\n\r\n1" if number % 2 else b""
                one.sendall(b"POST %s HTTP/1.1\r\n%s" % (path, body))
            slow = measured()
            answers = {one.recv(100)[:12] for one in unfinished}
            fault.recovered(time.monotonic() - began, "until 408")
    assert answers == {b"HTTP/1.1 408"}
    assert min(crowded, slow) <= 2 * alone + 20, (alone, crowded, slow)


@pytest.mark.faults(13, "clients that disappear without closing, during a request and after one")
def test_connections_of_vanished_clients_are_closed(place: Place, fault: Fault) -> None:
    uri = place.uri("deadly")
    path = urlsplit(uri).path.encode()
    sent = (
        b"POST %s HTTP/1.1\r\n" % path,
        b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n1" % path,
        b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n1" % path,
    )
    with (
        limited(place, headers_seconds=2, request_seconds=2, idle_seconds=2) as address,
        SteadyLoad(uri, clients=2, one_shot=1, requests=500, pause=0.005) as load,
    ):
        fault.under(load)
        load.runs(20)
        others, gone = connected(place.routers(), address[1]), set[str]()
        for number in range(100):
            client = socket.create_connection(address, timeout=HANG_SECONDS)
            client.sendall(sent[number % len(sent)])
            if number % len(sent) == len(sent) - 1:
                assert client.recv(12) == b"HTTP/1.1 200"
            vanish(client)
            if number % 10 == 9:  # a cluster's node gives connections other ports: all that are new are looked at
                gone |= connected(place.routers(), address[1]) - others
        began = time.monotonic()
        assert len(gone) >= 100
        wait_until(lambda: not gone & connected(place.routers(), address[1]), "the router has closed them")
        fault.recovered(time.monotonic() - began, "until closed")
    assert load.failed == 0, load.failures


def vanish(client: socket.socket) -> None:
    """Close a socket as the loss of its machine would: the other end is told nothing."""
    try:
        client.setsockopt(socket.IPPROTO_TCP, 19, 1)  # TCP_REPAIR of Linux
    except PermissionError:
        pytest.skip("a connection without another end takes the right to make one: run the tests as root")
    client.close()


def connected(pids: list[int], port: int) -> set[str]:
    """Return the addresses of clients that are connected with a port where processes run, also in a pod."""
    tables = [Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:] for pid in pids]
    rows = [line.split()[1:4] for table in tables for line in table]
    ports = {f"{number:04X}" for number in (port, names.ROUTER_PORT)}
    return {peer for own, peer, state in rows if state == _ESTABLISHED and own.rpartition(":")[2] in ports}


def received_so_far(place: Place) -> int:
    """Return the number of requests so far; a cluster reads the counts of its routers at intervals."""
    seen, since = place.received(), time.monotonic()

    def is_whole() -> bool:
        nonlocal seen, since
        if (now := place.received()) != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > _COUNTED_SECONDS

    wait_until(is_whole, "what was sent before is counted")
    return seen


@pytest.mark.faults(14, "two lengths, a bad chunk, 70 KB of headers, TLS at the plain port")
def test_malformed_http_never_reaches_a_replica(place: Place, fault: Fault) -> None:
    uri = place.uri("typed")
    before = received_so_far(place)
    long = b"x-long: " + b"1" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n"
    cases = {
        "two lengths": (HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        "different lengths": (HEAD + b"content-length: 3\r\ncontent-length: 4\r\n\r\n123", 400),
        "bad chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\nx\r\n0\r\n\r\n", 400),
        "large headers": (HEAD + long, 431),
        "TLS": (client_hello(), None),
    }
    with SteadyLoad(place.uri("deadly"), clients=2, one_shot=1, requests=300, pause=0.005) as load:
        fault.under(load)
        for name, (message, status) in cases.items():
            for _ in range(2):  # the router closes such a connection after a second
                assert answered(uri, message) == status, name
    assert load.failed == 0, load.failures
    assert httpx.post(uri, content=b'{"number": 3}', headers={"content-type": "application/json"}).json() == "3"
    wait_until(lambda: place.received() > before, "the good one is counted")
    assert place.received() == before + 1, "and no other has got further than the router"


def client_hello() -> bytes:
    """Return what a client that wants TLS says first."""
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost").do_handshake()
    return said.read()


def answered(uri: str, message: bytes) -> int | None:
    """Return the status of the answer, None where the connection was closed without one."""
    try:
        return raw(uri, message).status_code
    except (IndexError, ConnectionError):
        return None


def counted(machine: Machine) -> int:
    """Return how many requests the router has sent to the typed endpoint so far."""
    transport = httpx.HTTPTransport(uds=str((machine.directory / "control" / "run").resolve() / "router.sock"))
    with httpx.Client(transport=transport) as client:
        query = {"format": "json", "filter": r"^cluster\.typed\.typed\.upstream_rq_total$"}
        found = json.loads(client.get("http://router/stats", params=query).text)["stats"]
        return sum(int(item["value"]) for item in found)  # Envoy has no counter before the first request
