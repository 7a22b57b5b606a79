"""Attacks on the router: on its memory, its connections, by web pages, and by requests that hide a refusal."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from mljupyter.spec import Authentication, ConnectionLimits, EndpointKind, RouterSpec
from tests.system.conftest import Machine, machine, machines  # noqa: F401 - fixtures
from tests.waiting import wait_until

pytestmark = pytest.mark.system

CHUNK = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def address_of(uri: str | None) -> tuple[int, str]:
    """Return port and path of a scoring URI."""
    parts = urlsplit(str(uri))
    return int(parts.port or 0), parts.path


def router_memory(machine: Machine) -> int:
    """Return the memory of the router in MB, without that of its program."""
    (pid,) = machine.routers()
    used = psutil.Process(pid).memory_info()
    return int(used.rss - used.shared) >> 20


def body_without_end(port: int, path: str, megabytes: int, answers: list[bytes]) -> socket.socket:
    """Send a body in chunks that does not end; note what is answered."""
    connection = connect(port)
    with contextlib.suppress(OSError):
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        for _ in range(megabytes):
            connection.sendall(CHUNK)
    connection.settimeout(0.5)
    with contextlib.suppress(OSError):
        answers.append(connection.recv(65536))
    return connection


def test_bodies_that_do_not_end_take_no_more_memory_than_is_allowed(machine: Machine) -> None:  # noqa: F811
    record = machine.healthy(machine.spec())
    port, path = address_of(record.status.scoring_uri)
    limited = {"max_memory_mb": 200} if "max_memory_mb" in ConnectionLimits.model_fields else {}
    machine.client.put_router(RouterSpec(limits=ConnectionLimits(**limited)))
    wait_until(lambda: len(machine.routers()) == 1, 15, "one router serves")
    answers: list[bytes] = []
    memory: list[int] = []
    served: list[int] = []
    held: list[socket.socket] = []
    attackers = [
        threading.Thread(target=lambda: held.append(body_without_end(port, path, 90, answers))) for _ in range(12)
    ]
    for attacker in attackers:
        attacker.start()
    while any(attacker.is_alive() for attacker in attackers):
        with contextlib.suppress(httpx.TransportError):
            served.append(httpx.post(str(record.status.scoring_uri), content=b"1", timeout=30).status_code)
        memory.append(router_memory(machine))
    with httpx.Client() as client:
        after = {client.post(str(record.status.scoring_uri), content=b"1").status_code for _ in range(50)}
    for connection in held:
        connection.close()
    assert max(memory) < 300, memory  # 200 MB are measured ten times a second
    assert after == {200}
    assert served.count(200) > len(served) / 2
    bodies = [answer.partition(b"\r\n\r\n") for answer in answers if answer]
    assert bodies
    for head, _, body in bodies:
        assert head.startswith(b"HTTP/1.1 503")
        assert json.loads(body)["code"] == "RouterOverloaded"


def refused(port: int, path: str) -> socket.socket:
    """Send one request that is refused, and say nothing more."""
    connection = connect(port)
    connection.sendall(f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n".encode())
    connection.recv(65536)
    return connection


def healthy(port: int, path: str) -> socket.socket:
    """Ask for health, which needs no key, and say nothing more."""
    connection = connect(port)
    connection.sendall(f"GET {path.removesuffix('score')} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    connection.recv(65536)
    return connection


def preface(port: int, path: str) -> socket.socket:
    """Begin HTTP/2 and send no request."""
    connection = connect(port)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
    return connection


@pytest.mark.parametrize("attack", [refused, healthy, preface])
def test_a_client_with_a_key_gets_through_while_one_without_takes_all_connections(
    machine: Machine,  # noqa: F811
    attack: Callable[[int, str], socket.socket],
) -> None:
    record = machine.healthy(machine.spec("keyed", authentication=Authentication.KEY))
    local = machine.healthy(machine.spec("local", kind=EndpointKind.LOCAL))
    headers = {"authorization": f"Bearer {machine.client.keys('keyed')[0]}"}
    port, path = address_of(record.status.scoring_uri)
    machine.client.put_router(RouterSpec(limits=ConnectionLimits(max_connections=100)))
    held: list[socket.socket] = []
    with contextlib.suppress(OSError):
        for _ in range(130):
            held.append(attack(port, path))  # noqa: PERF401 - what is held counts, however it ends
    assert len(held) >= 100

    def served() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.post(str(record.status.scoring_uri), headers=headers, content=b"1").status_code == 200
        return False

    # The port of a local web service is not the port that is attacked.
    assert httpx.post(str(local.status.scoring_uri), content=b"1").status_code == 200
    wait_until(served, 15, "a client with a key is served")
    for connection in held:
        connection.close()
