"""How scoring URIs with TLS are reached: the address, and the name that the certificate must be for."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mljupyter.client.reach import Reach
from tests.system.certificates import Files
from tests.waiting import HANG_SECONDS

NOWHERE = "192.0.2.1"  # for documentation (RFC 5737)


@dataclass
class Server:
    port: int
    trust: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on loopback whose certificate is for two names."""
    files = Files(tmp_path_factory.mktemp("pki"), "scoring.example.org", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    running.socket = context.wrap_socket(running.socket, server_side=True)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield Server(running.server_address[1], Path(files.certificate).read_text())
    running.shutdown()
    running.server_close()
    thread.join()


def connects(reach: Reach, host: str, port: int) -> None:
    connection = reach.connection(host, port, HANG_SECONDS)
    connection.connect()
    connection.close()


def test_the_name_is_verified_at_the_address_of_a_port_forward(server: Server) -> None:
    reach = Reach("127.0.0.1", server.trust, server.port)
    connects(reach, "scoring.example.org", server.port)
    with pytest.raises(ssl.SSLCertVerificationError, match="other.example.org"):
        connects(reach, "other.example.org", server.port)


def test_other_ports_than_that_of_a_port_forward_are_reached_at_their_host(server: Server) -> None:
    connects(Reach(NOWHERE, server.trust, server.port + 1), "localhost", server.port)
