"""The webhook's certificate is renewed before it ends, and the webhook answers over TLS with the present one."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from mljupyter.controller.tls.authority import Authority
from mljupyter.kubernetes.api_server.connection import ApiServer
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.operator.settings import OperatorSettings
from mljupyter.kubernetes.operator.webhook import Webhook
from mljupyter.kubernetes.operator.webhook_certificate import WebhookCertificate, renewed, server_name
from tests.kubernetes.list_watch_server import ListWatchServer, served
from tests.waiting import HANG_SECONDS

NAMESPACE = "team-a"
NOW = datetime.now(UTC)
LONG_NAMESPACE = "n" * 63


def loaded(text: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(text.encode())


def trusts(authority: str, certificate: str) -> bool:
    try:
        loaded(certificate).verify_directly_issued_by(loaded(authority))
    except Exception:
        return False
    return True


@pytest.mark.parametrize("namespace", [NAMESPACE, LONG_NAMESPACE])
def test_the_first_certificate_is_for_the_host_name_that_the_api_server_expects(tmp_path: Path, namespace: str) -> None:
    made = renewed(None, tmp_path, namespace, NOW)
    assert trusts(made.authority, made.certificate)
    found = loaded(made.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert server_name(namespace) in found.get_values_for_type(x509.DNSName)


def test_a_certificate_survives_the_way_through_its_secret_and_stays_until_a_month_before_its_end(
    tmp_path: Path,
) -> None:
    made = renewed(None, tmp_path / "a", NAMESPACE, NOW)
    stored = WebhookCertificate.of(made.secret(NAMESPACE))
    assert stored == made
    end = loaded(made.certificate).not_valid_after_utc
    for elsewhere in (tmp_path / "a", tmp_path / "b"):  # the pod that leads next has no files
        assert renewed(stored, elsewhere, NAMESPACE, end - timedelta(days=31)) == made
    later = renewed(stored, tmp_path / "a", NAMESPACE, end - timedelta(days=29))
    assert later.certificate != made.certificate
    assert (later.authority, later.authority_key) == (made.authority, made.authority_key)
    assert loaded(later.certificate).not_valid_after_utc > end


def test_an_authority_that_ends_soon_is_signed_again_and_both_trust_the_certificates_of_the_other(
    tmp_path: Path,
) -> None:
    made = renewed(None, tmp_path, NAMESPACE, NOW)
    end = loaded(made.authority).not_valid_after_utc
    later = renewed(made, tmp_path, NAMESPACE, end - timedelta(days=100))
    assert later.authority != made.authority
    assert later.authority_key == made.authority_key
    assert loaded(later.authority).not_valid_after_utc > end
    assert trusts(made.authority, later.certificate) and trusts(later.authority, made.certificate)


@pytest.mark.parametrize("part", ["authority", "authority_key", "certificate", "key"])
@pytest.mark.parametrize("text", ["", "no PEM"])
def test_whatever_is_damaged_is_made_again(tmp_path: Path, part: str, text: str) -> None:
    made = renewed(None, tmp_path, NAMESPACE, NOW)
    later = renewed(replace(made, **{part: text}), tmp_path, NAMESPACE, NOW)
    assert later != made
    assert trusts(later.authority, later.certificate)
    assert renewed(later, tmp_path, NAMESPACE, NOW) == later


def test_a_certificate_of_another_authority_namespace_or_key_is_replaced(tmp_path: Path) -> None:
    made = renewed(None, tmp_path / "a", NAMESPACE, NOW)
    other = renewed(None, tmp_path / "b", NAMESPACE, NOW)
    for mixed in (
        replace(made, certificate=other.certificate, key=other.key),
        replace(made, key=other.key),
        replace(made, authority=other.authority),
    ):
        found = renewed(mixed, tmp_path / "c", NAMESPACE, NOW)
        assert found != mixed
        assert trusts(found.authority, found.certificate)
    assert renewed(made, tmp_path / "c", "team-b", NOW).certificate != made.certificate


@pytest.mark.parametrize("data", [None, {}, {"tls.crt": "no base64 !"}, {"tls.crt": 7}])
def test_a_secret_that_cannot_be_read_counts_as_none(data: Any) -> None:
    assert WebhookCertificate.of({"data": data}) is None


def test_no_key_is_shown(tmp_path: Path) -> None:
    made = renewed(None, tmp_path, NAMESPACE, NOW)
    assert "PRIVATE" not in repr(made)


def test_the_authority_of_the_workspace_is_another_one(tmp_path: Path) -> None:
    made = renewed(None, tmp_path / "webhook", NAMESPACE, NOW)
    (tmp_path / "tls").mkdir()
    assert not trusts(Authority(tmp_path / "tls", "churn").certificate(), made.certificate)


BROKEN = {
    "apiVersion": "admission.k8s.io/v1",
    "request": {
        "uid": "7",
        "operation": "CREATE",
        "namespace": NAMESPACE,
        "userInfo": {"username": "ada"},
        "object": {
            "metadata": {"name": "iris"},
            "spec": {"defaultVersion": "two", "versions": {"one": {"image": "registry.example/iris:1"}}},
        },
    },
}


@dataclass
class Home:
    """A webhook that runs, and the API server with its Secret."""

    server: ListWatchServer
    webhook: Webhook
    directory: Path

    def store(self, certificate: WebhookCertificate) -> None:
        self.server.put(names.WEBHOOK, data=certificate.secret(NAMESPACE)["data"])

    async def asked(self, authority: str, content: bytes) -> httpx.Response:
        """The answer to a client that trusts an authority, and expects the host name that the API server expects."""
        context = ssl.create_default_context(cadata=authority)
        async with httpx.AsyncClient(verify=context, timeout=HANG_SECONDS) as client:
            return await client.post(
                f"https://127.0.0.1:{self.webhook.port}{names.WEBHOOK_PATH}",
                content=content,
                extensions={"sni_hostname": server_name(NAMESPACE)},
            )

    async def served(self, certificate: WebhookCertificate) -> None:
        """Wait until new connections get a certificate."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                try:
                    await self.asked(certificate.authority, b"{}")
                    return
                except httpx.ConnectError:
                    await asyncio.sleep(0.02)


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    server = ListWatchServer()
    ended: list[asyncio.Task[None]] = []
    async with served(server, tmp_path) as kubeconfig:
        api = await ApiServer.connect(kubeconfig)
        settings = OperatorSettings(
            NAMESPACE, "operator-1", "team", "churn", "a", "b", directory=tmp_path / "state", webhook_port=0
        )
        webhook = Webhook(api, settings)
        webhook.start(ended.append)
        yield Home(server, webhook, tmp_path)
        assert not ended
        await webhook.close()
        assert [task.exception() for task in ended] == [None]
        await api.close()


async def test_reviews_are_answered_over_tls_and_a_new_certificate_is_used_without_a_restart(home: Home) -> None:
    first, second = (renewed(None, home.directory / name, NAMESPACE, NOW) for name in "ab")
    for certificate in (first, second):
        home.store(certificate)
        await home.served(certificate)
        answer = await home.asked(certificate.authority, json.dumps(BROKEN).encode())
        assert answer.status_code == 200
        assert "defaultVersion is 'two'" in answer.json()["response"]["status"]["message"]
    with pytest.raises(httpx.ConnectError):
        await home.asked(first.authority, b"{}")


async def test_a_secret_that_somebody_damages_or_deletes_leaves_the_certificate_in_use(home: Home) -> None:
    certificate = renewed(None, home.directory, NAMESPACE, NOW)
    home.store(certificate)
    await home.served(certificate)
    home.store(replace(certificate, certificate="no PEM"))
    home.server.remove(names.WEBHOOK)
    await home.served(certificate)


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"no JSON", 400), (b"[1]", 400), (b"[" * 1000, 400), (b"{}" + b" " * (5 << 20), 413)],
    ids=["nothing", "no JSON", "a list", "nested", "large"],
)
async def test_what_is_no_review_is_refused_and_the_next_one_is_answered(
    home: Home, content: bytes, status: int
) -> None:
    certificate = renewed(None, home.directory, NAMESPACE, NOW)
    home.store(certificate)
    await home.served(certificate)
    answer = await home.asked(certificate.authority, content)
    assert answer.status_code == status
    assert answer.json()["message"]
    assert (await home.asked(certificate.authority, json.dumps(BROKEN).encode())).status_code == 200
