"""The check of connectivity that a pod runs, against real sockets."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mljupyter.kubernetes import connectivity
from mljupyter.kubernetes.connectivity import API_SERVER, DNS, api_server, check_all, reach, resolve
from tests.ports import free_port


class Handler(BaseHTTPRequestHandler):
    """Answers with the status that its path names."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/") or 200))
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Print nothing."""


def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    yield from serving()


def certificate(path: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "server")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(built.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls") / "server.pem")


@pytest.fixture
def secure_port(authority: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    yield from serving(context)


def test_a_name_is_resolved_to_its_addresses_and_an_unknown_one_is_an_error() -> None:
    assert "127.0.0.1" in resolve("localhost")
    with pytest.raises(OSError, match="."):
        resolve("no-such-name.invalid")


def test_every_answer_below_500_counts_as_reached(port: int) -> None:
    for status in (200, 401, 403, 404):
        assert reach(f"http://127.0.0.1:{port}/{status}") == f"127.0.0.1:{port} answers"
    with pytest.raises(Exception, match="it answers 503"):
        reach(f"http://127.0.0.1:{port}/503")


def test_a_connection_is_enough_for_tcp_and_a_closed_port_is_an_error(port: int) -> None:
    assert reach(f"tcp://127.0.0.1:{port}") == f"127.0.0.1:{port} accepts connections"
    with pytest.raises(ConnectionRefusedError):
        reach(f"tcp://127.0.0.1:{free_port()}")


def test_the_certificate_of_the_api_server_is_verified_where_the_authority_is_known(
    secure_port: int, authority: Path, tmp_path: Path
) -> None:
    url = f"https://127.0.0.1:{secure_port}/200"
    assert reach(url, str(authority)) == f"127.0.0.1:{secure_port} answers"
    with pytest.raises(ssl.SSLCertVerificationError):
        reach(url, str(certificate(tmp_path / "other.pem")))
    assert reach(url, str(tmp_path / "none")) == f"127.0.0.1:{secure_port} accepts connections"


def test_the_api_server_is_where_kubernetes_says() -> None:
    here = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
    assert api_server(here) == "https://10.96.0.1:6443/version"
    assert api_server({**here, "KUBERNETES_SERVICE_HOST": "fd00::1"}) == "https://[fd00::1]:6443/version"
    assert api_server({}) == "https://kubernetes.default.svc:443/version"


def test_results_come_in_the_order_of_the_checks_and_a_failure_does_not_hide_the_next(port: int) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(free_port())}
    found = check_all({"store": f"tcp://127.0.0.1:{port}"}, environment, within=0.2)
    assert [result.name for result in found] == [DNS, API_SERVER, "store"]
    assert [result.reached for result in found[1:]] == [False, True]
    assert "refused" in found[1].text


def test_a_check_is_repeated_because_the_network_of_a_new_pod_takes_a_moment() -> None:
    free = free_port()
    found: list[connectivity.Reached] = []
    waiting = threading.Thread(
        target=lambda: found.extend(check_all({"late": f"tcp://127.0.0.1:{free}"}, {}, within=5)), daemon=True
    )
    waiting.start()
    with socket.create_server(("127.0.0.1", free)) as listener:
        listener.accept()[0].close()
        waiting.join()
    assert next(result for result in found if result.name == "late").reached


def test_the_command_prints_one_line_of_json(port: int) -> None:
    command = [sys.executable, "-m", "mljupyter.kubernetes.connectivity", f"store=http://127.0.0.1:{port}/200"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    assert [item["name"] for item in document] == [DNS, API_SERVER, "store"]
    assert document[2] == {"name": "store", "reached": True, "text": f"127.0.0.1:{port} answers"}
