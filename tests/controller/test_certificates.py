"""Certificates are judged before use, kept when files break, and renewed in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mljupyter.client.errors import CertificateError
from mljupyter.controller.tls.authority import Authority
from mljupyter.controller.tls.certificate_manager import CertificateManager, LeafCertificate
from mljupyter.controller.tls.certificates import checked, expiry_problem
from mljupyter.spec import CertificateFiles, CertificateSecret
from tests.system.certificates import Files, pem_pair

NOW = datetime.now(UTC)


def days(count: float) -> datetime:
    return NOW + timedelta(days=count)


def keeper(tmp_path: Path) -> CertificateManager:
    directory = tmp_path / "tls"
    directory.mkdir(exist_ok=True)
    return CertificateManager(directory, Authority(directory, "churn-team"))


def wanted(files: Files, host: str = "localhost") -> dict[str, CertificateFiles]:
    return {"": CertificateFiles(host=host, certificate_file=str(files.certificate), key_file=str(files.key))}


@pytest.mark.parametrize(
    ("names", "host", "passes"),
    [
        (["example.org"], "example.org", True),
        (["EXAMPLE.org"], "example.ORG", True),
        (["*.example.org"], "a.example.org", True),
        (["*.example.org"], "example.org", False),
        (["*.example.org"], "a.b.example.org", False),
        (["127.0.0.1", "localhost"], "localhost", True),
        (["example.org"], "example.com", False),
    ],
)
def test_a_certificate_is_for_the_hosts_it_names(names: list[str], host: str, passes: bool) -> None:
    if passes:
        checked(*pem_pair(*names), host, NOW)
    else:
        with pytest.raises(CertificateError, match="not for"):
            checked(*pem_pair(*names), host, NOW)


def test_what_cannot_be_used_is_named_without_the_key() -> None:
    certificate, key = pem_pair("localhost")
    other = pem_pair("localhost")[1]
    cases = [
        (("", key), "certificate is not in PEM"),
        ((certificate[:100], key), "incomplete"),
        ((certificate, key[:50]), "private key is not in PEM"),
        ((certificate, other), "do not match"),
        (pem_pair("localhost", days=-0.1), "ended on"),
        (pem_pair("localhost", days=9, begins=2), "begins on"),
    ]
    for pair, told in cases:
        with pytest.raises(CertificateError, match=told) as caught:
            checked(*pair, "localhost", NOW)
        assert "BEGIN" not in caught.value.message


def test_a_warning_comes_thirty_days_before_the_end() -> None:
    status = checked(*pem_pair("localhost", days=90), "localhost", NOW)
    assert expiry_problem(status, days(59)) is None
    soon, over = expiry_problem(status, days(61)), expiry_problem(status, days(91))
    assert soon is not None
    assert over is not None
    assert (soon.code, over.code) == ("CertificateExpires", "CertificateExpired")


def test_the_workspace_renews_thirty_days_before_the_end_and_never_sooner(tmp_path: Path) -> None:
    certificates = keeper(tmp_path)
    leaf = {"": LeafCertificate(("team.localhost", "127.0.0.1"))}
    assert certificates.look(leaf, NOW)
    first = certificates.pairs[""]
    assert not certificates.look(leaf, days(59))
    assert keeper(tmp_path).look(leaf, NOW)  # another process finds the same one
    again = keeper(tmp_path)
    again.look(leaf, NOW)
    assert again.pairs[""] == first
    assert certificates.look(leaf, days(61))
    assert certificates.pairs[""].certificate != first.certificate
    assert certificates.problem("", days(61)) is None


def test_other_hosts_need_another_certificate(tmp_path: Path) -> None:
    certificates = keeper(tmp_path)
    certificates.look({"": LeafCertificate(("a.localhost",))}, NOW)
    certificates.look({"": LeafCertificate(("b.localhost",))}, NOW)
    status = certificates.status("", NOW)
    assert status is not None
    assert status.names == ["b.localhost"]


def test_a_broken_pair_leaves_the_last_good_one_for_this_process_and_the_next(tmp_path: Path) -> None:
    files = Files(tmp_path / "pki", "localhost")
    certificates = keeper(tmp_path)
    certificates.look(wanted(files), NOW)
    good = certificates.pairs[""]
    files.key.write_text("nonsense")
    assert certificates.look(wanted(files), NOW)
    for one in (certificates, keeper(tmp_path)):
        one.look(wanted(files), NOW)
        assert one.pairs[""] == good, "with its hosts: requests for all others are refused"
        problem = one.problem("", NOW)
        assert problem is not None
        assert "the earlier one stays in use" in problem.message
    files.renew()
    assert certificates.look(wanted(files), NOW)
    assert certificates.pairs[""].certificate != good.certificate
    assert certificates.problem("", NOW) is None


def test_a_certificate_that_is_not_wanted_any_more_is_forgotten_with_its_key(tmp_path: Path) -> None:
    files = Files(tmp_path / "pki", "localhost")
    certificates = keeper(tmp_path)
    certificates.look(wanted(files), NOW)
    stored = tmp_path / "tls" / "router.json"
    assert stored.exists()
    assert certificates.look({}, NOW)
    assert certificates.pairs == {}
    assert not stored.exists()


def test_files_that_are_missing_are_named_and_there_is_no_certificate(tmp_path: Path) -> None:
    files = Files(tmp_path / "pki", "localhost")
    files.key.unlink()
    certificates = keeper(tmp_path)
    certificates.look(wanted(files), NOW)
    problem = certificates.problem("", NOW)
    assert problem is not None
    assert str(files.key) in problem.message
    assert certificates.pairs == {}


SECRET = {"": CertificateSecret(host="localhost", name="scoring-tls")}


def with_secrets(tmp_path: Path, secrets: dict[str, tuple[str, str]]) -> CertificateManager:
    directory = tmp_path / "tls"
    directory.mkdir(exist_ok=True)

    def read(name: str) -> tuple[str, str]:
        if name not in secrets:
            raise CertificateError(f"there is no Secret {name!r}.")
        return secrets[name]

    return CertificateManager(directory, Authority(directory, "churn-team"), read)


def test_a_secret_is_read_again_when_its_content_changes(tmp_path: Path) -> None:
    secrets = {"scoring-tls": pem_pair("localhost")}
    certificates = with_secrets(tmp_path, secrets)
    assert certificates.look(SECRET, NOW)
    assert not certificates.look(SECRET, NOW)
    assert certificates.pairs[""].hosts == ("localhost",)
    secrets["scoring-tls"] = pem_pair("localhost")
    assert certificates.look(SECRET, NOW)
    assert (certificates.pairs[""].certificate, certificates.pairs[""].key) == secrets["scoring-tls"]


def test_a_secret_that_cannot_be_used_leaves_the_last_good_pair_for_this_process_and_the_next(tmp_path: Path) -> None:
    good = pem_pair("localhost")
    secrets = {"scoring-tls": good}
    certificates = with_secrets(tmp_path, secrets)
    certificates.look(SECRET, NOW)
    cases: list[tuple[dict[str, tuple[str, str]], str]] = [
        ({"scoring-tls": (pem_pair("localhost")[0], good[1])}, "do not match"),
        ({"scoring-tls": pem_pair("example.org")}, "not for 'localhost'"),
        ({}, "no Secret 'scoring-tls'"),
    ]
    for present, told in cases:
        secrets.clear()
        secrets.update(present)
        for one in (certificates, with_secrets(tmp_path, secrets)):
            one.look(SECRET, NOW)
            assert one.pairs[""].certificate == good[0]
            problem = one.problem("", NOW)
            assert problem is not None
            assert told in problem.message


def test_a_secret_that_was_never_there_is_a_problem(tmp_path: Path) -> None:
    certificates = with_secrets(tmp_path, {})
    assert certificates.look(SECRET, NOW)
    problem = certificates.problem("", NOW)
    assert problem is not None
    assert "there is none to use" in problem.message
