from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from mljupyter.build.images import ImageError, scan, scan_report
from mljupyter.build.images.oci.scan import Finding
from tests import osv

BILL = json.dumps(
    {"components": [{"name": "roman", "version": "4.2", "purl": "pkg:pypi/roman@4.2"}, {"name": "scale"}]}
).encode()
TRIVY = {
    "Results": [
        {
            "Vulnerabilities": [
                {"PkgName": "libc6", "InstalledVersion": "2.36", "VulnerabilityID": "CVE-1", "Severity": "LOW"},
                {
                    "PkgName": "openssl",
                    "InstalledVersion": "3.0",
                    "VulnerabilityID": "CVE-2",
                    "Severity": "CRITICAL",
                    "FixedVersion": "3.1",
                },
            ]
        },
        {"Vulnerabilities": None},
    ]
}
GRYPE = {
    "matches": [
        {
            "artifact": {"name": "openssl", "version": "3.0"},
            "vulnerability": {"id": "CVE-2", "severity": "Critical", "fix": {"versions": ["3.1"]}},
        },
        {"artifact": {"name": "zlib", "version": "1"}, "vulnerability": {"id": "CVE-3", "severity": "High"}},
    ]
}
AUDIT = {
    "dependencies": [
        {"name": "roman", "version": "4.2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["4.3", "5.0"]}]},
        {"name": "six", "skip_reason": "not on the index"},
    ]
}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of scanners that are not installed here, and of nothing else."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def install(directory: Path, name: str, report: object, status: int = 1) -> None:
    (directory / f"{name}.json").write_text(report if isinstance(report, str) else json.dumps(report))
    script = f'#!/bin/sh\necho "$@" > {directory}/{name}.arguments\n'
    script += f'for a in "$@"; do case "$a" in *requirements.txt) cp "$a" {directory}/seen.txt;; esac; done\n'
    script += f"cat {directory}/{name}.json\necho progress >&2\nexit {status}\n"
    (directory / name).write_text(script)
    (directory / name).chmod(0o755)


def test_every_scanner_that_is_installed_is_run_and_findings_are_merged(programs: Path) -> None:
    install(programs, "trivy", TRIVY)
    install(programs, "grype", GRYPE)
    install(programs, "pip-audit", AUDIT)
    assert scan("mljupyter/a:1", BILL) == [
        Finding("trivy", "openssl", "3.0", "CVE-2", "critical", "3.1"),
        Finding("grype", "zlib", "1", "CVE-3", "high", None),
        Finding("trivy", "libc6", "2.36", "CVE-1", "low", None),
        Finding("pip-audit", "roman", "4.2", "PYSEC-1", "unknown", "4.3, 5.0"),
    ]
    assert "mljupyter/a:1" in (programs / "trivy.arguments").read_text()
    assert (programs / "seen.txt").read_text() == "roman==4.2\n"


def test_without_a_scanner_the_message_says_what_to_install(programs: Path) -> None:
    with pytest.raises(ImageError, match="pip install pip-audit"):
        scan("mljupyter/a:1", BILL, scanners=("trivy", "grype"))


def test_a_scanner_that_fails_is_quoted(programs: Path) -> None:
    install(programs, "trivy", "no json", 2)
    with pytest.raises(ImageError, match=r"(?s)trivy gave no report.*progress"):
        scan("mljupyter/a:1", BILL)


def test_packages_that_cannot_be_looked_up_are_named(programs: Path) -> None:
    install(programs, "pip-audit", AUDIT)
    assert scan_report("a:1", BILL).unchecked == ("six: not on the index",)


def test_a_scanner_that_could_look_nothing_up_does_not_pass_for_a_clean_image(programs: Path) -> None:
    skipped = {"dependencies": [{"name": "roman", "skip_reason": "Dependency not found on PyPI"}]}
    install(programs, "pip-audit", skipped, 0)
    with pytest.raises(ImageError, match=r"(?s)could not look up any of the 1 .*PIP_AUDIT_VULNERABILITY"):
        scan("a:1", BILL)


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A vulnerability service of this machine, in OSV's protocol: it knows of one in every version of roman."""
    with osv.serving("roman", "PYSEC-2026-1", "Numerals overflow.", version="4.2") as server:
        monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", osv.address(server))
        yield server


def test_the_real_pip_audit_finds_what_its_service_knows(service: ThreadingHTTPServer) -> None:
    report = scan_report("a:1", BILL, scanners=("pip-audit",))
    assert [(one.package, one.version, one.vulnerability) for one in report.findings] == [
        ("roman", "4.2", "PYSEC-2026-1")
    ]
    assert report.unchecked == ()


def test_the_real_pip_audit_without_its_service_says_so(
    service: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}/v1/query")
        with pytest.raises(ImageError) as caught:
            scan("a:1", BILL, scanners=("pip-audit",))
    assert "Its vulnerability service cannot be reached: check the network" in caught.value.message
    assert "Traceback" not in caught.value.message
    assert len(caught.value.message.splitlines()) == 2


@pytest.mark.parametrize("location", ["--config=evil.yaml", "-oout", "dir:/home", "file:/etc/passwd", ""])
def test_a_scanner_gets_no_option_and_no_directory_in_place_of_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str
) -> None:
    """The location of an image is in the database, which a team shares."""
    started = tmp_path / "started"
    for name in ("trivy", "grype"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {started}\necho '{{}}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ImageError, match="not a reference to an image"):
        scan(location, BILL, ("trivy", "grype"))
    assert not started.exists()
    scan(f"sha256:{'1' * 64}", BILL, ("trivy", "grype"))
    assert started.exists()
