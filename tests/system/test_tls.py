"""TLS end to end: certificates of one's own and of the workspace, swapped under load, and never half of one."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from mljupyter.client.errors import CertificateError, DomainExistsError, InvalidSpecError
from mljupyter.spec import (
    Authentication,
    CertificateFiles,
    CertificateSecret,
    EndpointKind,
    EndpointRecord,
    EndpointTls,
    PlainHttp,
    RouterRecord,
    RouterSpec,
    RouterTls,
)
from tests.load import Load
from tests.system.certificates import Files, pem_pair
from tests.system.conftest import Machine
from tests.waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
CLIENTS = 4


def own(files: Files, host: str = "localhost") -> RouterTls:
    return RouterTls(
        files=CertificateFiles(host=host, certificate_file=str(files.certificate), key_file=str(files.key))
    )


def context(record: RouterRecord) -> ssl.SSLContext:
    trusting = ssl.create_default_context(cadata=record.trust)
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return trusting


def served(port: int, host: str = "localhost") -> str:
    """Return the fingerprint of the certificate that a client who asks for a host is shown."""
    import hashlib

    unverified = ssl._create_unverified_context()
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        unverified.wrap_socket(plain, server_hostname=host) as s,
    ):
        return hashlib.sha256(s.getpeercert(binary_form=True) or b"").hexdigest()


def fresh(machine: Machine, record: EndpointRecord, scheme: str) -> EndpointRecord:
    """Return an endpoint as soon as its scoring URI has a scheme."""

    def look() -> EndpointRecord | None:
        found = machine.client.endpoint(record.spec.name)
        return found if str(found.status.scoring_uri).startswith(f"{scheme}:") else None

    return wait_until(look, f"the scoring URI is {scheme}")


def test_the_workspace_signs_for_a_label_and_plain_http_is_sent_to_https_or_closed(machine: Machine) -> None:
    record = machine.healthy(machine.spec(authentication=Authentication.KEY))
    plain, key = str(record.status.scoring_uri), {"authorization": f"Bearer {machine.client.keys('echo')[0]}"}
    router = machine.client.put_router(RouterSpec(tls=RouterTls(leaf_domain_label="team")))
    secure = str(fresh(machine, record, "https").status.scoring_uri)
    assert urlsplit(secure).port == urlsplit(plain).port
    with httpx.Client(verify=context(router), headers=key) as client:
        assert client.post(secure, content=b"[1]").json()["data"] == "[1]"
        redirected = client.post(plain, content=b"[1]")
        assert (redirected.status_code, redirected.headers["location"]) == (308, secure)
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.post(secure, content=b"[1]", headers=key)
    authority = str(router.authority_file)
    trusting = ["curl", "-s", "--cacert", authority, "-d", "[1]", "-H", f"Authorization: {key['authorization']}"]
    protocol = ["-w", "%{http_version}", "-o", "/dev/null"]
    for host in ("localhost", "team.localhost"):
        uri = secure.replace("localhost", host)
        done = subprocess.run(
            [*trusting, *protocol, "--http2", uri], capture_output=True, text=True, timeout=HANG_SECONDS
        )
        assert done.stdout == "2", done
    status = machine.client.endpoint("echo").status.certificate
    assert status is not None
    assert "team.localhost" in status.names
    assert 80 < (status.not_after - datetime.now(UTC)).days < 91
    with pytest.raises(DomainExistsError, match="overwrite_existing_domain"):
        machine.client.put_router(RouterSpec(tls=RouterTls(leaf_domain_label="other")))
    machine.client.put_router(RouterSpec(tls=RouterTls(leaf_domain_label="other")), overwrite_domain=True)
    machine.client.put_router(RouterSpec(tls=RouterTls(leaf_domain_label="other"), plain_http=PlainHttp.CLOSE))
    with pytest.raises(httpx.TransportError):
        httpx.post(plain, content=b"[1]", headers=key)
    machine.client.put_router(RouterSpec())
    fresh(machine, record, "http")
    assert httpx.post(plain, content=b"[1]", headers=key).status_code == 200


def test_less_than_tls_1_2_is_refused(machine: Machine) -> None:
    machine.healthy(machine.spec())
    router = machine.client.put_router(RouterSpec(tls=RouterTls(leaf_domain_label="team")))
    older = ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3
    for without, passes in ((older, False), (ssl.OP_NO_TLSv1_3, True)):
        client = ssl._create_unverified_context()
        client.set_ciphers("ALL:@SECLEVEL=0")
        client.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
        client.options |= without
        with socket.create_connection(("127.0.0.1", router.port)) as plain:
            if passes:
                with client.wrap_socket(plain) as secure:
                    assert secure.version() == "TLSv1.2"
            else:
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    client.wrap_socket(plain)


@pytest.mark.faults(17, "half a pair of certificate and key")
def test_certificate_files_can_be_replaced_under_load_and_a_certificate_without_its_key_is_ignored(
    machine: Machine, tmp_path: Path
) -> None:
    files = Files(tmp_path / "pki", "localhost")
    # A run for each client: on a busy machine, a request that waits for a run may be refused after half a second.
    record = machine.healthy(machine.spec(limits={"maxConcurrentRequests": CLIENTS}))
    router = machine.client.put_router(RouterSpec(tls=own(files)))
    uri = str(fresh(machine, record, "https").status.scoring_uri)
    first = served(router.port)
    assert first == router.certificates[""].fingerprint

    def problem() -> str | None:
        found = machine.client.router().certificates[""].problem
        return found.message if found else None

    def fingerprint() -> str:
        return machine.client.router().certificates[""].fingerprint

    with Load(uri, clients=CLIENTS, verify=False) as load:
        new = pem_pair("localhost")
        files.certificate.write_text(new[0])  # the key is still the old one
        wait_until(lambda: "do not match" in str(problem()), "the status tells of the pair")
        assert served(router.port) == first
        told = lambda: str(machine.client.endpoint("echo").status.problem)  # noqa: E731
        wait_until(lambda: "do not match" in told(), "the endpoint tells of it, too")
        files.certificate.write_text(new[0][:200])
        wait_until(lambda: "incomplete" in str(problem()), "the status tells of half a file")
        machine.client.stop()  # the next controller must not take half a pair either
        machine.client.ensure()
        wait_until(lambda: "incomplete" in str(problem()), "the status tells of half a file")
        assert served(router.port) == first
        files.certificate.write_text(new[0])
        files.key.write_text(new[1])
        wait_until(lambda: served(router.port) != first, "the new pair is served")
        for _ in range(3):
            before = served(router.port)
            files.renew()
            # The controller tells of a pair a moment before the router has it.
            wait_until(lambda before=before: fingerprint() != before, "the next pair is told of")
            wait_until(lambda before=before: served(router.port) == fingerprint() != before, "it is served")
        wait_until(lambda: load.sent > 1000, "a thousand requests are sent")
    assert load.failed == 0, (load.results, load.refusals)
    wait_until(lambda: problem() is None, "the problem is over")
    stored = machine.directory / "control" / "tls" / "router.json"
    assert stored.stat().st_mode & 0o777 == 0o600
    for log in ("controller.log", "router/router.log"):
        assert "PRIVATE KEY" not in (machine.directory / "control" / log).read_text()


@pytest.mark.parametrize(
    ("hosts", "days", "host", "told"),
    [
        (["other.example.org"], 90, "scoring.example.org", "not for 'scoring.example.org'"),
        (["scoring.example.org"], -0.5, "scoring.example.org", "ended on"),
    ],
)
def test_an_invalid_certificate_is_refused_and_the_settings_stay(
    machine: Machine, tmp_path: Path, hosts: list[str], days: float, host: str, told: str
) -> None:
    files = Files(tmp_path / "pki", *hosts, days=days)
    with pytest.raises(CertificateError, match=told) as caught:
        machine.client.put_router(RouterSpec(tls=own(files, host)))
    assert "PRIVATE" not in caught.value.message
    assert machine.client.router().spec.tls is None


def test_the_router_of_a_machine_takes_no_secret_and_no_certificate_in_a_request(machine: Machine) -> None:
    certificate, key = pem_pair("localhost")
    spec = RouterSpec(tls=RouterTls(secret=CertificateSecret(host="localhost", name="scoring-tls")))
    with pytest.raises(CertificateError, match="this machine has no Secret 'scoring-tls'"):
        machine.client.put_router(spec)
    sent = [
        ({"chain": certificate, "key": key}, "name no Secret of a cluster"),
        ({"chain": certificate}, "chain and key"),
        ({"chain": certificate, "key": "x" * 70_000}, "at most 65536 characters"),
        ({"chain": certificate, "key": [key]}, "key is a list"),
        (key, "certificate is a str"),
    ]
    for given, told in sent:
        body = {"spec": spec.document(), "certificate": given}
        with pytest.raises(InvalidSpecError, match=told) as caught:
            machine.client._transport.ask("PUT", "/v1/router", body=body)
        assert "PRIVATE" not in caught.value.message
    assert machine.client.router().spec.tls is None


def test_a_certificate_that_ends_within_thirty_days_is_warned_of(machine: Machine, tmp_path: Path) -> None:
    record = machine.healthy(machine.spec())
    files = Files(tmp_path / "pki", "localhost", days=29)
    machine.client.put_router(RouterSpec(tls=own(files)))
    fresh(machine, record, "https")
    status = wait_until(
        lambda: (found := machine.client.endpoint("echo").status).problem and found, "the status has the warning"
    )
    assert (status.problem.code, str(status.state)) == ("CertificateExpires", "Healthy")
    files.renew(days=90)
    wait_until(lambda: machine.client.endpoint("echo").status.problem is None, "the warning is over")


def test_an_endpoint_has_a_certificate_of_its_own_beside_others_without_tls(machine: Machine, tmp_path: Path) -> None:
    files = Files(tmp_path / "pki", "scoring.example.org")
    paths = {"certificate_file": str(files.certificate), "key_file": str(files.key)}
    tls = EndpointTls(host="scoring.example.org", **paths)
    plain = machine.healthy(machine.spec("plain", kind=EndpointKind.ACI))
    record = machine.healthy(machine.spec("own", kind=EndpointKind.ACI).model_copy(update={"tls": tls}))
    parts = urlsplit(str(record.status.scoring_uri))
    assert (parts.scheme, parts.hostname) == ("https", "scoring.example.org")
    assert httpx.post(str(plain.status.scoring_uri), content=b"[1]").status_code == 200
    assert (
        served(int(parts.port or 0), "scoring.example.org") == machine.client.router().certificates["own"].fingerprint
    )
    open_path = f"http://localhost:{parts.port}{parts.path}"
    assert httpx.post(open_path, content=b"[1]").status_code == 308
    trusting = ssl.create_default_context(cadata=files.certificate.read_text())
    connection = http.client.HTTPSConnection("localhost", parts.port, context=trusting, timeout=HANG_SECONDS)
    with socket.create_connection(("127.0.0.1", int(parts.port or 0))) as raw:
        connection.sock = trusting.wrap_socket(raw, server_hostname="scoring.example.org")
        connection.request("POST", parts.path, b"[1]", {"host": "scoring.example.org"})
        assert connection.getresponse().status == 200
