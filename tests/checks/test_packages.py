"""Known vulnerabilities of packages: found, accepted for a while, and never passed over in silence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests import osv
from tests.checks import packages
from tests.checks.packages import ACCEPTED, Accepted, Audit, Vulnerability, accepted_in, complaints, main

TODAY = date(2026, 6, 1)
LATER, EARLIER = TODAY + timedelta(1), TODAY - timedelta(1)
BAD = Vulnerability("roman", "4.2", ("PYSEC-1", "CVE-1"), "4.3")


def entry(day: date, name: str = "CVE-1", package: str = "roman") -> Accepted:
    return Accepted(name, package, "not reached here", day)


def test_a_vulnerability_passes_only_while_it_is_accepted_under_one_of_its_names() -> None:
    audits = [Audit("pip-audit", 3, [BAD])]
    assert complaints(audits, [], TODAY, strict=False) == ["roman 4.2: PYSEC-1, CVE-1; fixed in 4.3"]
    assert complaints(audits, [entry(LATER)], TODAY, strict=True) == []
    assert "look again" in complaints(audits, [entry(TODAY)], TODAY, strict=False)[0]
    assert len(complaints(audits, [entry(LATER, package="greek")], TODAY, strict=False)) == 2


def test_an_entry_that_is_needed_no_more_is_complained_about_once_everything_was_looked_up() -> None:
    done, not_done = Audit("pip-audit", 3), Audit("npm audit", not_done="no network")
    assert "remove the entry" in complaints([done], [entry(LATER)], TODAY, strict=False)[0]
    assert complaints([done, not_done], [entry(LATER)], TODAY, strict=False) == []


def test_what_was_not_looked_up_is_wrong_only_when_asked() -> None:
    audits = [Audit("pip-audit", 3, unknown=["six"]), Audit("npm audit", not_done="no network")]
    assert complaints(audits, [], TODAY, strict=False) == []
    assert complaints(audits, [], TODAY, strict=True) == [
        "pip-audit: not looked up: six",
        "npm audit: nothing was looked up",
    ]


def test_the_entries_of_this_project_are_complete() -> None:
    accepted_in(ACCEPTED)


@pytest.mark.parametrize("missing", ["id", "package", "reason", "look_again"])
def test_an_entry_needs_a_reason_and_a_date(missing: str, tmp_path: Path) -> None:
    lines = {"id": 'id = "CVE-1"', "package": 'package = "roman"', "reason": 'reason = "x"'}
    lines["look_again"] = "look_again = 2026-06-01"
    path = tmp_path / "accepted.toml"
    path.write_text("\n".join(["[[accepted]]", *lines.values()]))
    assert accepted_in(path)[0].look_again == TODAY
    path.write_text("\n".join(["[[accepted]]", *(line for key, line in lines.items() if key != missing)]))
    with pytest.raises(ValueError, match="entry 1 needs id, package, reason and look_again"):
        accepted_in(path)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A vulnerability service that knows of one in pluggy, and an npm that prints a report."""
    monkeypatch.setattr(packages, "SEEN", tmp_path)
    monkeypatch.setattr(packages, "_SERVICES", ("osv",))
    monkeypatch.setattr(packages, "installed", lambda: ["packaging==26.0", "pluggy==1.6.0"])
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    npm(tmp_path, {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 500}}})
    with osv.serving("pluggy", "PYSEC-7", "Plugs in too much.") as server:
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", osv.address(server))
        yield tmp_path


def npm(directory: Path, report: object) -> None:
    (directory / "npm.json").write_text(json.dumps(report))
    (directory / "npm").write_text(f"#!/bin/sh\ncat {directory}/npm.json\nexit 1\n")
    (directory / "npm").chmod(0o755)


def test_the_real_pip_audit_finds_what_its_service_knows(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 1
    said = capsys.readouterr().out
    assert "pip-audit: 2 packages, 1 known vulnerabilities" in said
    assert "pluggy 1.6.0: PYSEC-7; no fixed release is known" in said
    for place in ("labextension", "widgets-js"):
        assert f"npm audit {place}: 500 packages, 0 known vulnerabilities" in said


def test_what_was_looked_up_today_and_was_clean_is_not_looked_up_again(
    tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "installed", lambda: ["packaging==26.0"])
    assert main(["--strict"]) == 0
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:1/v1/query")
    assert main(["--strict"]) == 0
    assert "pip-audit, earlier today: 1 packages" in capsys.readouterr().out
    monkeypatch.setattr(packages, "installed", lambda: ["packaging==26.1"])
    assert main(["--strict"]) == 1


def test_a_finding_of_npm_names_package_advisory_and_way_out(tools: Path, capsys: pytest.CaptureFixture[str]) -> None:
    advisory = {"source": 1, "name": "ws", "url": "https://github.com/advisories/GHSA-1", "severity": "high"}
    found = {
        "ws": {"via": [advisory], "range": "<8", "fixAvailable": True},
        "jsdom": {"via": ["ws"], "range": "<9", "fixAvailable": True},
    }
    npm(tools, {"vulnerabilities": found, "metadata": {"dependencies": {"total": 500}}})
    assert main([]) == 1
    said = capsys.readouterr().out
    assert "ws <8: GHSA-1; fixed in a later release" in said
    assert "jsdom" not in said


def test_services_that_do_not_answer_are_named_and_fail_only_when_asked(
    tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", "http://127.0.0.1:1/v1/query")
    npm(tools, {"message": "405 Method Not Allowed", "statusCode": 405})
    assert main([]) == 0
    said = capsys.readouterr().out
    assert "pip-audit: NOT DONE, nothing was looked up" in said
    for place in ("labextension", "widgets-js"):
        assert f"npm audit {place}: NOT DONE, nothing was looked up" in said
    assert "405 Method Not Allowed" in said
    assert "make audit STRICT=1" in said
    assert main(["--strict"]) == 1
