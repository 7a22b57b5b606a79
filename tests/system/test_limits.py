"""What one client may take of the router, and who may reach it."""

from __future__ import annotations

import platform
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest

from mljupyter.client.errors import AuthenticationRequiredError, ControllerError
from mljupyter.spec import Authentication, ConnectionLimits, EndpointKind, RateLimit, RouterSpec, SpecError
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS, promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS)


def own_address() -> str:
    """Return an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        return str(probe.getsockname()[0])


def closed(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection; waits for ten seconds at most."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_connections_beyond_the_number_allowed_are_closed_and_the_others_served(machine: Machine) -> None:
    record = machine.healthy(machine.spec())
    router = machine.client.put_router(RouterSpec(limits=ConnectionLimits(max_connections=3)))
    with httpx.Client() as client:
        assert client.post(str(record.status.scoring_uri), content=b"1").status_code == 200
        others = [connect(router.port) for _ in range(4)]
        for other in others:
            other.sendall(b"POST / HTTP/1.1\r\n")
        others[0].settimeout(HANG_SECONDS)
        refused = [closed(other) for other in others[2:]]
        assert refused == [True, True]
        assert client.post(str(record.status.scoring_uri), content=b"1").status_code == 200
        for other in others:
            other.close()

    def served() -> bool:
        try:
            return httpx.post(str(record.status.scoring_uri), content=b"1").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(served, "there is room again")


def test_a_silent_connection_is_closed_and_slow_clients_do_not_slow_others(machine: Machine) -> None:
    record = machine.healthy(machine.spec())
    limits = ConnectionLimits(headers_seconds=1, request_seconds=2, idle_seconds=0.5)
    router = machine.client.put_router(RouterSpec(limits=limits))
    path = urlsplit(str(record.status.scoring_uri)).path.encode()
    with connect(router.port) as idle:
        idle.sendall(b"POST %s HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n1" % path)
        received = b""
        began = time.monotonic()
        while chunk := idle.recv(65536):
            received += chunk
        assert received.startswith(b"HTTP/1.1 200")
        assert time.monotonic() - began < promised(8)
    machine.client.put_router(RouterSpec(limits=limits.model_copy(update={"idle_seconds": 600})))
    slow = []
    for number in range(100):
        slow.append(one := connect(router.port))
        one.sendall(b"POST %s HTTP/1.1\r\n" % path)
        if number % 2:
            one.sendall(b"host: localhost\r\ncontent-length: 9\r\n\r\n1")
    with httpx.Client() as client:
        assert {client.post(str(record.status.scoring_uri), content=b"1").status_code for _ in range(50)} == {200}
    for one in slow:
        assert one.recv(100).startswith(b"HTTP/1.1 408")
        one.close()


def test_the_rate_limit_counts_all_requests_of_an_endpoint_also_those_that_select_a_version(machine: Machine) -> None:
    free = machine.healthy(machine.spec("free"))
    spec = machine.spec("limited")
    record = machine.healthy(spec.model_copy(update={"rate_limit": RateLimit(requests_per_second=5, burst=5)}))
    uri = str(record.status.scoring_uri)
    picked = {"azureml-model-deployment": "limited"}
    with httpx.Client() as client:
        began = time.monotonic()
        answers = [client.post(uri, content=b"1", headers=picked if number % 2 else {}) for number in range(60)]
        seconds = time.monotonic() - began
        passed = sum(answer.status_code == 200 for answer in answers)
        assert 5 <= passed <= 5 + 5 * (int(seconds) + 1)
        assert {answer.status_code for answer in answers} == {200, 429}
        assert {client.post(str(free.status.scoring_uri), content=b"1").status_code for _ in range(60)} == {200}
        machine.settle(machine.client.replace(spec))
        assert {client.post(uri, content=b"1").status_code for _ in range(60)} == {200}


def test_listening_beyond_loopback_needs_authentication_or_an_explicit_opt_out(machine: Machine) -> None:
    address = own_address()
    keyed = machine.healthy(machine.spec("keyed", authentication=Authentication.KEY))
    local = machine.healthy(machine.spec("local", kind=EndpointKind.LOCAL))
    port = machine.client.router().port

    def reached(at: str, number: int) -> bool:
        try:
            socket.create_connection((at, number), timeout=HANG_SECONDS).close()
        except OSError:
            return False
        return True

    assert not reached(address, port)
    opened = machine.healthy(machine.spec("open", kind=EndpointKind.ACI))
    with pytest.raises(AuthenticationRequiredError, match=r"'open' would be open") as caught:
        machine.client.put_router(RouterSpec(address="0.0.0.0"))
    assert "auth_enabled=True" in caught.value.message
    assert machine.client.router().spec.address == "127.0.0.1"
    machine.client.delete("open")
    router = machine.client.put_router(RouterSpec(address="0.0.0.0"))
    assert [problem.code for problem in router.problems] == ["PlainHttpOnNetwork"]
    assert reached(address, port)
    assert reached("127.0.0.1", port)
    key = machine.client.keys("keyed")[0]
    path = urlsplit(str(keyed.status.scoring_uri)).path
    headers = {"authorization": f"Bearer {key}"}
    assert httpx.post(f"http://{address}:{port}{path}", headers=headers, content=b"1").status_code == 200
    wait_until(
        lambda: urlsplit(str(machine.client.endpoint("keyed").status.scoring_uri)).hostname == platform.node().lower(),
        "the scoring URI names the machine",
    )
    assert not reached(address, int(urlsplit(str(local.status.scoring_uri)).port or 0))
    with pytest.raises(AuthenticationRequiredError, match="allow-without-authentication"):
        machine.client.create(opened.spec)
    machine.client.put_router(RouterSpec(address="0.0.0.0", allow_without_authentication=True))
    machine.healthy(opened.spec)
    machine.client.put_router(RouterSpec())
    wait_until(lambda: not reached(address, port), "other machines do not reach it any more")


def test_an_address_that_is_not_this_machines_is_refused_and_all_stays_as_it_was(machine: Machine) -> None:
    record = machine.healthy(machine.spec())
    with pytest.raises(SpecError, match="IP address"):
        RouterSpec.parse({"address": "example.org"})
    with pytest.raises(ControllerError, match=r"still listens on 127\.0\.0\.1"):
        machine.client.put_router(RouterSpec(address="192.0.2.1", allow_without_authentication=True))
    assert machine.client.router().spec.address == "127.0.0.1"
    assert httpx.post(str(record.status.scoring_uri), content=b"1").status_code == 200
