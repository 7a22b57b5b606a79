"""Attacks on the router: on its memory, its connections, by web pages, and by requests that hide a refusal."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from mljupyter.runtimes.ports import free_port
from mljupyter.spec import Authentication, ConnectionLimits, EndpointKind, RouterSpec, SpecError
from tests.system.conftest import Machine, machine, machines, shared_machine  # noqa: F401 - fixtures
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True

CHUNK = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS)


def address_of(uri: str | None) -> tuple[int, str]:
    """Return port and path of a scoring URI."""
    parts = urlsplit(str(uri))
    return int(parts.port or 0), parts.path


def router_memory(one: Machine) -> int:
    """Return the memory of the router in MB, without that of its program."""
    (pid,) = one.routers()
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
    wait_until(lambda: len(machine.routers()) == 1, "one router serves")
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
            served.append(httpx.post(str(record.status.scoring_uri), content=b"1").status_code)
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
    wait_until(served, "a client with a key is served")
    for connection in held:
        connection.close()


def post(uri: str | None, **headers: str) -> httpx.Response:
    return httpx.post(
        str(uri), content=b"1", headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_no_web_page_of_others_reaches_an_endpoint_without_authentication(machine: Machine) -> None:  # noqa: F811
    shared = machine.healthy(machine.spec("open")).status.scoring_uri
    local = machine.healthy(machine.spec("local", kind=EndpointKind.LOCAL)).status.scoring_uri
    keyed = machine.healthy(machine.spec("keyed", authentication=Authentication.KEY)).status.scoring_uri
    key = f"Bearer {machine.client.keys('keyed')[0]}"
    for uri in (shared, local):
        port, _ = address_of(uri)
        for host in ("evil.example", f"evil.example:{port}", "localhost.evil.example", "127.0.0.1.nip.example"):
            assert code(post(uri, host=host)) == (421, "HostNotAllowed"), host
        for origin in ("https://evil.example", "null", "http://localhost.evil.example", "https://evil.example:8888"):
            assert code(post(uri, origin=origin, content_type="text/plain")) == (403, "OriginNotAllowed"), origin
        for host in (
            "localhost",
            f"127.0.0.1:{port}",
            "[::1]:8600",
            "churn.localhost",
            "host.docker.internal",
            "LOCALHOST",
        ):
            assert post(uri, host=host).status_code == 200, host
        for origin in ("http://localhost:8888", "https://127.0.0.1", "http://[::1]:1", "http://churn.localhost"):
            assert post(uri, origin=origin).status_code == 200, origin
    # A key is proof enough: a proxy may be in front, and no web page knows the key.
    assert post(keyed, host="scoring.example.org", authorization=key).status_code == 200
    assert post(keyed, origin="https://app.example.org", authorization=key).status_code == 200
    assert code(post(keyed, host="evil.example")) == (401, "Unauthorized")


def test_hosts_and_origins_that_the_user_allows_reach_an_endpoint_without_authentication(machine: Machine) -> None:  # noqa: F811
    plain = machine.healthy(machine.spec("plain")).status.scoring_uri
    variables = {"AML_CORS_ORIGINS": "https://app.example.org"}
    own = machine.healthy(machine.spec("own", environmentVariables=variables)).status.scoring_uri
    everybody = {"AML_CORS_ORIGINS": "*"}
    raw = machine.healthy(machine.spec("raw", environmentVariables=everybody)).status.scoring_uri
    assert post(own, origin="https://app.example.org").status_code == 200
    assert code(post(own, origin="https://app.example.org.evil.example")) == (403, "OriginNotAllowed")
    assert code(post(plain, origin="https://app.example.org")) == (403, "OriginNotAllowed")
    assert post(raw, origin="https://whoever.example").status_code == 200
    assert code(post(raw, host="evil.example")) == (421, "HostNotAllowed")
    machine.client.put_router(RouterSpec(hosts=("Hub.Example.org",)))
    assert post(plain, host="hub.example.org", origin="https://hub.example.org").status_code == 200
    assert code(post(plain, host="evil.example")) == (421, "HostNotAllowed")
    with pytest.raises(SpecError, match="without scheme and port"):
        RouterSpec.parse({"hosts": ["https://hub.example.org"]})


@pytest.mark.parametrize("authentication", list(Authentication))
def test_an_allowed_page_passes_the_preflight_without_a_key_and_can_read_refusals(
    machine: Machine,  # noqa: F811
    authentication: Authentication,
) -> None:
    page = "https://app.example.org"
    variables = {"AML_CORS_ORIGINS": f"https://other.example.org, {page}"}
    limits = {"maxBodyBytes": 1000}
    spec = machine.spec("paged", authentication=authentication, environmentVariables=variables, limits=limits)
    record = machine.healthy(spec)
    uri = str(record.status.scoring_uri)
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    preflight = httpx.options(uri, headers={"Origin": page, **asked})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == page
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert preflight.headers["access-control-allow-headers"].startswith("authorization, content-type")
    stranger = httpx.options(uri, headers={"Origin": f"{page}.evil.example", **asked})
    assert "access-control-allow-origin" not in stranger.headers
    if authentication is not Authentication.NONE:
        refused = post(uri, origin=page)
        assert code(refused) == (401, "Unauthorized")
        assert refused.headers["access-control-allow-origin"] == page
        assert "www-authenticate" in refused.headers["access-control-expose-headers"]
        assert "access-control-allow-origin" not in post(uri, origin="https://evil.example").headers
    if authentication is Authentication.KEY:
        key = machine.client.keys("paged")[0]
        answered = post(uri, origin=page, authorization=f"Bearer {key}")
        assert answered.status_code == 200
        assert answered.headers.get_list("access-control-allow-origin") == [page]
        headers = {"origin": page, "authorization": f"Bearer {key}"}
        too_large = httpx.post(uri, content=b"x" * 1001, headers=headers)
        assert too_large.status_code == 413
        assert too_large.headers["access-control-allow-origin"] == page


def test_a_client_of_http_1_0_is_answered_and_its_connection_closed(machine: Machine) -> None:  # noqa: F811
    keyed = machine.healthy(machine.spec("keyed", authentication=Authentication.KEY)).status.scoring_uri
    port, path = address_of(keyed)
    key = machine.client.keys("keyed")[0]
    for host in ("", "host: localhost\r\n"):
        for authorization, status in ((f"authorization: Bearer {key}\r\n", b"200"), ("", b"401")):
            with connect(port) as connection:
                head = f"POST {path} HTTP/1.0\r\n{host}{authorization}content-length: 2\r\n\r\n"
                connection.sendall(head.encode() + b"[]")
                answer = b""
                while part := connection.recv(65536):
                    answer += part
            assert answer.startswith((b"HTTP/1.0 " + status, b"HTTP/1.1 " + status)), answer
            assert b"transfer-encoding" not in answer.lower()
    answers = 3
    with connect(port) as connection:  # as `ab -k` sends them
        for number in range(answers):
            kept = "keep-alive" if number < answers - 1 else "close"
            head = f"POST {path} HTTP/1.0\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nconnection: {kept}\r\n"
            connection.sendall(f"{head}content-length: 2\r\n\r\n[]".encode())
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(65536)
            assert b" 200 OK\r\n" in answer and b"\r\ncontent-length: " in answer.lower(), answer
            assert f"\r\nconnection: {kept}\r\n".encode() in answer.lower()
        assert connection.recv(65536) == b"", "the last answer closes the connection"


def test_a_refusal_has_its_status_whatever_the_content_type(machine: Machine) -> None:  # noqa: F811
    keyed = machine.healthy(machine.spec("keyed", authentication=Authentication.KEY)).status.scoring_uri
    local = machine.healthy(machine.spec("local", kind=EndpointKind.LOCAL)).status.scoring_uri
    for uri in (keyed, str(keyed) + "/nowhere", local):
        for kind in ("application/grpc", "application/grpc+proto"):
            answer = post(uri, content_type=kind, te="trailers")
            assert answer.status_code >= 400, (uri, kind)
            assert "grpc-status" not in answer.headers
            assert code(answer)[1] in ("UnsupportedMediaType", "Unauthorized", "NotFound")


def test_the_port_for_metrics_answers_to_names_of_this_machine_only(machine: Machine) -> None:  # noqa: F811
    port = free_port()
    machine.client.metrics_settings(port=port)
    uri = f"http://127.0.0.1:{port}/metrics"
    assert httpx.get(uri).status_code == 200
    assert httpx.get(uri, headers={"host": f"localhost:{port}"}).status_code == 200
    assert httpx.get(uri, headers={"host": f"evil.example:{port}"}).status_code == 400
