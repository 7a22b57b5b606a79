from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mljupyter.client.scorer import Scorer
from mljupyter.exceptions import WebserviceException
from tests.ports import free_port


class Server(ThreadingHTTPServer):
    daemon_threads = True
    connections = 0
    drop_after_each = False

    def process_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:  # type: ignore[override]
        self.connections += 1
        super().process_request(request, client_address)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/score"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(int(self.headers.get("X-Status", "200")))
        if self.headers.get("X-Pieces"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            end = b"" if self.headers["X-Pieces"] == "cut off" else b"0\r\n\r\n"
            self.wfile.write(b"5\r\nfirst\r\n4\r\nlast\r\n" + end)
            self.close_connection = not end
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if self.server.drop_after_each:
            self.close_connection = True  # without having said so

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_answer_in_pieces_is_returned_as_a_whole_and_one_without_its_end_is_an_error(server: Server) -> None:
    scorer = Scorer()
    assert scorer.post(server.uri, b"", {"X-Pieces": "all"}, 5).body == b"firstlast"
    with pytest.raises(WebserviceException, match=r"was cut off after 9 bytes; its log has the reason") as caught:
        scorer.post(server.uri, b"", {"X-Pieces": "cut off"}, 5)
    assert caught.value.status_code == 502
    assert scorer.post(server.uri, b"next", {}, 5).body == b"next"


def test_one_connection_carries_all_requests_of_a_thread(server: Server) -> None:
    scorer = Scorer()
    answers = [scorer.post(server.uri, b"[1]", {}, 5).body for _ in range(10)]
    assert answers == [b"[1]"] * 10
    assert server.connections == 1


def test_any_status_is_returned(server: Server) -> None:
    answer = Scorer().post(server.uri, b"busy", {"X-Status": "503"}, 5)
    assert (answer.status, answer.text) == (503, "busy")


def test_a_connection_that_the_server_has_closed_is_opened_again(server: Server) -> None:
    server.drop_after_each = True
    scorer = Scorer()
    assert [scorer.post(server.uri, b"1", {}, 5).status for _ in range(3)] == [200] * 3
    assert server.connections == 3


def test_threads_do_not_share_a_connection(server: Server) -> None:
    scorer = Scorer()
    seen: list[bytes] = []

    def score(number: int) -> None:
        seen.extend(scorer.post(server.uri, str(number).encode(), {}, 5).body for _ in range(20))

    threads = [threading.Thread(target=score, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(str(number).encode() for number in range(4) for _ in range(20))


def test_nobody_listening_is_503() -> None:
    with pytest.raises(WebserviceException, match="cannot be reached") as caught:
        Scorer().post(f"http://127.0.0.1:{free_port()}/score", b"", {}, 5)
    assert caught.value.status_code == 503


def test_a_server_that_does_not_answer_raises_504() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(WebserviceException, match=r"within 0\.1 s") as caught:
            Scorer().post(f"http://127.0.0.1:{port}/score", b"", {}, 0.1)
    assert caught.value.status_code == 504
