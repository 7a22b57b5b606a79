"""A replica with a key answers its router alone: everybody else learns its health and nothing more."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from mljupyter.engine.replicas import replica_key as rule
from mljupyter.scoring.server import replica_key
from mljupyter.scoring.server.replica_key import ReplicaKey, ReplicaKeyError
from tests.ports import free_port
from tests.scoring.conftest import Replica, now_ms
from tests.scoring.replicas import replica_of
from tests.waiting import HANG_SECONDS, wait_until

KEY = rule.replica_key(b"k" * 32, "echo-1")
# Tells what a script can see of the key: variables, and those of a process that it starts.
CURIOUS = """
import os, subprocess
def init(): pass
def run(data):
    child = subprocess.run(["env"], capture_output=True, text=True).stdout
    own = open("/proc/self/environ").read() if os.path.exists("/proc/self/environ") else ""
    return [data, "REPLICA_KEY" in str(dict(os.environ)) + child + own]
"""
Serve = Callable[..., Replica]


@pytest.fixture(scope="module")
def keyed() -> Iterator[Replica]:
    with replica_of(CURIOUS, MLJUPYTER_REPLICA_KEY=KEY) as replica:
        yield replica


def answers(uri: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(uri).status_code == 200
    return False


def raw(replica: Replica, head: str) -> bytes:
    """Send the head of a request, and return all that comes until the connection is closed."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(HANG_SECONDS)
        client.connect(str(replica.socket))
        client.sendall(head.encode())
        answer = b""
        while part := client.recv(65536):
            answer += part
        return answer


@pytest.mark.parametrize(
    "path", ["/score", "/swagger.json", "/-/state", "/-/state?usage", "/nothing", "/score?a=1", "/%2e"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_without_the_key_nothing_but_health_is_answered(keyed: Replica, method: str, path: str) -> None:
    answer = keyed.client.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["connection"] == "close"
    if method != "HEAD":
        assert answer.json()["code"] == "Unauthorized"


def test_health_is_answered_to_everybody(keyed: Replica) -> None:
    assert (keyed.client.get("/").text, keyed.client.head("/").status_code) == ("Healthy", 200)
    assert keyed.client.post("/").status_code == 401


@pytest.mark.parametrize("wrong", ["", KEY[:-1], KEY + "0", KEY.upper(), f"{KEY},{KEY}", "é" * 32, "Bearer " + KEY])
def test_a_wrong_key_is_refused(keyed: Replica, wrong: str) -> None:
    headers = [(rule.HEADER.encode(), wrong.encode("latin-1"))]
    assert keyed.client.post("/score", content="x", headers=headers).status_code == 401


def test_with_the_key_everything_is_answered_and_the_script_does_not_see_it(keyed: Replica) -> None:
    headers = {rule.HEADER: KEY}
    assert keyed.client.post("/score", content="x", headers=headers).json() == ["x", False]
    assert keyed.client.get("/swagger.json", headers=headers).status_code == 200
    assert keyed.client.get("/-/state", headers=headers).json()["completed"] >= 1
    assert KEY not in keyed.log()


def test_the_last_header_counts_since_it_is_the_routers(keyed: Replica) -> None:
    sent = [(rule.HEADER, "forged"), (rule.HEADER, KEY)]
    assert keyed.client.post("/score", content="x", headers=sent).status_code == 200
    assert keyed.client.post("/score", content="x", headers=sent[::-1]).status_code == 401


def test_a_refused_request_loses_its_connection_before_its_body_is_read(keyed: Replica) -> None:
    head = "POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n"
    answer = raw(keyed, head)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"100 Continue" not in answer


def test_a_refused_request_does_not_run_and_is_not_recorded(serve: Serve) -> None:
    with replica_of(CURIOUS, MLJUPYTER_REPLICA_KEY=KEY, AML_APP_INSIGHTS_ENABLED="true") as replica:
        for _ in range(3):
            replica.score("x")
        state = replica.client.get("/-/state", headers={rule.HEADER: KEY}).json()
    assert (state["completed"], state["runs"], state["insights"]["recorded"]) == (0, 0, 0)


def test_strangers_who_hold_connections_do_not_keep_the_router_out(serve: Serve) -> None:
    replica = serve(CURIOUS, "--max-connections", "4", environment={"MLJUPYTER_REPLICA_KEY": KEY})
    head = b"GET / HTTP/1.1\r\nhost: x\r\n"
    with contextlib.ExitStack() as stack:
        for request in (b"", head, head + b"\r\n") * 4:  # silent, unfinished, and kept after its answer
            stranger = stack.enter_context(socket.socket(socket.AF_UNIX))
            stranger.connect(str(replica.socket))
            stranger.sendall(request)
        routers = [stack.enter_context(replica.new_client()) for _ in range(4)]
        for _ in range(2):
            for router in routers:  # each on a connection of its own, which it keeps
                assert router.post("/score", content="x", headers={rule.HEADER: KEY}).status_code == 200
        one_more = stack.enter_context(replica.new_client())
        full = one_more.post("/score", content="x", headers={rule.HEADER: KEY})
        assert (full.status_code, full.headers["x-mlj-busy"]) == (503, "1"), "the limit holds for the router itself"


def test_a_script_that_asks_for_the_request_does_not_get_the_key(serve: Serve) -> None:
    script = """
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse
    def init(): pass
    @rawhttp
    def run(request): return AMLResponse(str(dict(request.headers)), 200)
    """
    replica = serve(script, environment={"MLJUPYTER_REPLICA_KEY": KEY})
    answer = replica.client.post("/score", content="x", headers={rule.HEADER: KEY, "x-thing": "1"})
    assert answer.status_code == 200
    assert "thing" in answer.text.lower()
    assert KEY not in answer.text


def test_the_key_may_come_from_a_file(serve: Serve, directory: Path) -> None:
    file = directory / "key"
    file.write_text(f"{KEY}\n")
    replica = serve(CURIOUS, environment={"MLJUPYTER_REPLICA_KEY_FILE": str(file)})
    assert replica.score("x").status_code == 401
    assert replica.score("x", x_mlj_replica_key=KEY).json() == ["x", False]


def test_without_a_key_everybody_is_answered(serve: Serve) -> None:
    replica = serve(CURIOUS)
    assert replica.score("x").status_code == 200
    assert replica.state()["completed"] == 1


def test_on_a_port_without_a_key_nobody_says_when_a_request_began(directory: Path) -> None:
    go = directory / "go"
    (directory / "score.py").write_text(
        "import os, time\ndef init(): pass\ndef run(data):\n    while not os.path.exists(data): time.sleep(0.01)\n"
    )
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    options = ["--entry-script", "score.py", "--port", str(port), "--max-queue-wait-ms", "30000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mljupyter.scoring", *options], cwd=directory, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: answers(uri), "the replica's readiness")
        with ThreadPoolExecutor() as clients:
            first = clients.submit(httpx.post, f"{uri}/score", content=str(go), timeout=HANG_SECONDS)
            wait_until(lambda: httpx.get(f"{uri}/-/state").json()["running"] == 1, "it runs")
            # From a router, this one would be refused at once: it has waited for a minute.
            headers = {"x-mlj-start": now_ms(60_000)}
            late = clients.submit(httpx.post, f"{uri}/score", content=".", headers=headers, timeout=HANG_SECONDS)
            wait_until(lambda: late.done() or httpx.get(f"{uri}/-/state").json()["waiting"] == 1, "it waits")
            go.touch()
            assert (first.result().status_code, late.result().status_code) == (200, 200)
    finally:
        process.kill()
        process.wait(HANG_SECONDS)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MLJUPYTER_REPLICA_KEY": ""}, "MLJUPYTER_REPLICA_KEY breaks the rule"),
        ({"MLJUPYTER_REPLICA_KEY": "short"}, "at least 16"),
        ({"MLJUPYTER_REPLICA_KEY": "with blanks in its middle"}, "without blanks"),
        ({"MLJUPYTER_REPLICA_KEY_FILE": "/nowhere/key"}, "'/nowhere/key' (MLJUPYTER_REPLICA_KEY_FILE) cannot be read"),
    ],
)
def test_a_replica_does_not_start_with_a_key_that_cannot_be_used(
    launch: Serve, environment: dict[str, str], said: str
) -> None:
    replica = launch(CURIOUS, environment=environment)
    assert replica.wait_exit() == 2
    assert replica.process.stdout is not None
    message = replica.process.stdout.read().decode()
    assert said in message
    assert "Traceback" not in message
    assert (environment.get("MLJUPYTER_REPLICA_KEY") or "-" * 99) not in message


def test_the_key_is_taken_out_of_the_variables_and_not_shown() -> None:
    variables = {"MLJUPYTER_REPLICA_KEY": KEY, "MLJUPYTER_REPLICA_KEY_FILE": "/nowhere", "OTHER": "1"}
    key = replica_key.take(variables)
    assert variables == {"OTHER": "1"}
    assert KEY not in repr(key)
    assert replica_key.take(variables) is None
    with pytest.raises(ReplicaKeyError):
        replica_key.take({"MLJUPYTER_REPLICA_KEY_FILE": "/nowhere"})


def test_replica_and_control_plane_agree_on_names() -> None:
    assert replica_key.HEADER.decode() == rule.HEADER
    assert replica_key.VARIABLE == rule.VARIABLE
    assert rule.HEADER.startswith(rule.PRIVATE_HEADERS)
    assert ReplicaKey(KEY).admits("POST", "/score", [(rule.HEADER.encode(), KEY.encode())])
