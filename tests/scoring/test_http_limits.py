"""What slow, greedy and numerous clients get, and that others do not notice them."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable

import pytest

from tests.scoring.conftest import ECHO, Replica
from tests.waiting import HANG_SECONDS, promised, wait_until

Serve = Callable[..., Replica]


def connect(replica: Replica) -> socket.socket:
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(HANG_SECONDS)
    raw.connect(str(replica.socket))
    return raw


def read_all(raw: socket.socket) -> bytes:
    received = b""
    while piece := raw.recv(65536):
        received += piece
    return received


def test_a_body_is_complete_before_the_worker_sees_the_request(serve: Serve) -> None:
    replica = serve()
    with connect(replica) as slow:
        slow.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab")
        for _ in range(20):
            assert replica.score("other").json() == "other"
            assert replica.state()["running"] == 0
        slow.sendall(b"cd")
        assert slow.recv(65536).endswith(b'"abcd"')


def test_a_large_slow_body_holds_no_worker_either(serve: Serve) -> None:
    replica = serve()
    with connect(replica) as slow:
        slow.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n" + b"x" * 200_000)
        assert replica.score("other").json() == "other"
        assert replica.state()["running"] == 0
        slow.sendall(b"x" * 100_000)
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")


def test_a_request_that_does_not_become_complete_in_time_is_408(serve: Serve) -> None:
    replica = serve(ECHO, "--request-timeout", "0.5")
    starts = {
        "head": b"POST /score HTTP/1.1\r\nhost: x\r\n",
        "body": b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab",
        "nothing": b"",
    }
    start = time.monotonic()
    connections = {name: connect(replica) for name in starts}
    for name, raw in connections.items():
        raw.sendall(starts[name])
    for name, raw in connections.items():
        answer = read_all(raw)
        assert answer.startswith(b"HTTP/1.1 408 "), name
        assert b"not complete within 0.5 s" in answer
        raw.close()
    assert 0.4 < time.monotonic() - start < promised(3)
    assert replica.score("still there").status_code == 200


def test_a_client_that_sends_byte_by_byte_gains_no_time(serve: Serve) -> None:
    replica = serve(ECHO, "--request-timeout", "0.5")
    with connect(replica) as raw:
        raw.setblocking(False)
        raw.sendall(b"POST /score HTTP/1.1\r\nx-slow: ")

        def closed() -> bool:
            try:
                raw.send(b"a")
                return False
            except OSError:
                return True

        wait_until(closed, "the end of the connection")


def test_a_long_run_is_not_a_slow_request(serve: Serve) -> None:
    script = "import time\ndef init(): pass\ndef run(data):\n    time.sleep(float(data))\n    return data\n"
    replica = serve(script, "--request-timeout", "2")
    with connect(replica) as raw:
        request = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n"
        raw.sendall(request + b"4.0" + request)  # the second request is not complete while the first runs
        assert b"200 OK" in raw.recv(65536)
        raw.sendall(b"0.0")
        assert b"200 OK" in raw.recv(65536)


def test_an_idle_connection_is_closed_after_its_time(serve: Serve) -> None:
    replica = serve(ECHO, "--idle-timeout", "1", "--request-timeout", "0.2")
    with connect(replica) as raw:
        start = time.monotonic()
        raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert read_all(raw).endswith(b"Healthy")
        assert 0.8 < time.monotonic() - start < promised(3)


def test_a_client_that_does_not_take_its_answer_loses_its_connection(serve: Serve) -> None:
    replica = serve("def init(): pass\ndef run(data): return 'x' * 20_000_000\n", "--request-timeout", "0.5")
    with connect(replica) as raw:
        raw.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx")
        wait_until(lambda: replica.state()["completed"] == 1, what="the answer")
        ended = select.poll()
        ended.register(raw, select.POLLHUP)
        wait_until(lambda: ended.poll(0), what="the end of the connection")
        assert len(read_all(raw)) < 20_000_000


def test_a_head_that_is_too_long_is_431(serve: Serve) -> None:
    replica = serve(ECHO, "--max-header-bytes", "2000")
    assert replica.score("x", x_padding="a" * 1500).status_code == 200
    refused = replica.score("x", x_padding="a" * 3000)
    assert refused.status_code == 431
    assert "2000 bytes" in refused.json()["message"]
    with connect(replica) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nx-endless: ")
        answer = b""
        raw.settimeout(0.05)
        for _ in range(100):
            try:
                raw.sendall(b"a" * 100)
                answer += raw.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer:
                break
        assert answer.startswith(b"HTTP/1.1 431 ")
    assert replica.score("x", x_padding="a" * 1500).status_code == 200


def test_a_long_body_is_no_long_head(serve: Serve) -> None:
    replica = serve(ECHO, "--max-header-bytes", "2000")
    body = "b" * 50_000
    assert replica.score(body).json() == body


def test_more_connections_than_allowed_are_sent_elsewhere(serve: Serve) -> None:
    replica = serve(ECHO, "--max-connections", "3")
    opened = [connect(replica) for _ in range(2)]  # the client of the test has the third
    for raw in opened:
        raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert raw.recv(65536).startswith(b"HTTP/1.1 200")
    with connect(replica) as refused:
        answer = read_all(refused)
    assert answer.startswith(b"HTTP/1.1 503 ") and b"x-mlj-busy: 1" in answer
    assert replica.score("mine").json() == "mine"
    opened.pop().close()

    def served() -> bool:
        with connect(replica) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            return raw.recv(65536).startswith(b"HTTP/1.1 200")

    wait_until(served, "room for a connection")
    for raw in opened:
        raw.close()


def test_an_answer_leaves_in_one_piece(serve: Serve) -> None:
    replica = serve(ECHO)
    request = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n[1]"
    with connect(replica) as client:
        client.setblocking(False)  # whoever waits is woken too late to see two pieces
        for _ in range(300):
            client.sendall(request)
            until = time.monotonic() + 10
            while time.monotonic() < until:
                with contextlib.suppress(BlockingIOError):
                    head, _, body = client.recv(65536).partition(b"\r\n\r\n")
                    break
            assert head.endswith(b"content-length: %d" % len(body))


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"3;", b"a=b;" * 1000),
        (b"3\r\nabc\r\n0\r\n", b"x-more: a\r\n" * 400),
        (b"3\r\nabc\r\n0\r\nx-more: ", b"a" * 4000),
    ],
    ids=["an extension of a chunk", "headers behind the body", "a header behind the body"],
)
def test_what_surrounds_the_chunks_of_a_body_is_limited_as_its_head_is(serve: Serve, start: bytes, part: bytes) -> None:
    replica = serve(ECHO, "--max-header-bytes", "8000")
    with connect(replica) as raw:
        raw.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + start)
        with contextlib.suppress(ConnectionError):  # it is closed before all is sent
            for _ in range(2000):
                raw.sendall(part)
            raise AssertionError("a request of 8 MB around 3 bytes was accepted")
        with contextlib.suppress(ConnectionError):
            assert read_all(raw).startswith(b"HTTP/1.1 431 ")
    assert replica.score("still there").status_code == 200


def test_headers_behind_a_body_are_not_taken_for_those_of_the_request(serve: Serve) -> None:
    replica = serve(ECHO)
    with connect(replica) as raw:
        chunks = b"3\r\nabc\r\n0\r\nx-request-id: behind\r\n\r\n"
        raw.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks)
        answer = raw.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 ") and b"behind" not in answer


def test_a_body_of_very_small_chunks_is_accepted(serve: Serve) -> None:
    replica = serve(ECHO, "--max-header-bytes", "1000")
    with connect(replica) as raw:
        chunks = b"1\r\na\r\n" * 5000 + b"0\r\n\r\n"
        raw.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + chunks)
        assert raw.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_sends_without_reading_gets_no_more_answers_made(serve: Serve) -> None:
    replica = serve("def init(): pass\ndef run(data): return 'x' * 1_000_000\n")
    count = 20
    with connect(replica) as raw:
        raw.sendall(b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\nx" * count)
        wait_until(lambda: replica.state()["completed"] >= 1, what="the first answer")
        for _ in range(5):  # they would be made before these, which wait behind them
            assert replica.score("x").status_code == 200
        assert replica.state()["completed"] <= 5 + 2
        received = b""
        while received.count(b"HTTP/1.1 200") < count or not received.endswith(b'xx"'):
            received += raw.recv(1 << 20)
    assert replica.state()["completed"] == count + 5


def test_thousands_of_requests_in_one_packet_do_not_hold_up_others(serve: Serve) -> None:
    replica = serve(ECHO)
    count = 8000
    with connect(replica) as raw:
        raw.sendall(b"GET /?alive HTTP/1.1\r\n\r\n" * count)
        assert replica.health() == 200
        received = 0
        end = b""
        while received < count:
            piece = end + raw.recv(1 << 20)
            received += piece.count(b"Alive")
            end = piece[-4:] if not piece.endswith(b"Alive") else b""
    assert received == count
