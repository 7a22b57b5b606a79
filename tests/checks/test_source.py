"""Bandit in `make check`: a new finding fails, and an exception needs its reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.checks.source import ROOT, exempted, findings, without_reason


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_a_finding_fails_unless_the_rule_is_exempted_at_its_place(project: Path) -> None:
    source = "import hashlib\nimport yaml\n\nyaml.load('1', Loader=None)\nassert 1\nx = hashlib.md5(b'')\n"
    (project / "new.py").write_text(source)
    found = findings(project, ["new.py"])
    assert [line.split(" ")[1] for line in found] == ["B506", "B101", "B324"]
    assert "new.py:4: B506 (medium) " in found[0]
    source = source.replace("=None)", "=None)  # noqa: S506 - a test")
    (project / "new.py").write_text(source.replace("assert 1", "assert 1  # noqa: S108, S101 (why)"))
    assert [line.split(" ")[1] for line in findings(project, ["new.py"])] == ["B324"]


def test_a_file_that_bandit_cannot_read_fails(project: Path) -> None:
    (project / "broken.py").write_text("def (:\n")
    assert "bandit could not read it" in findings(project, ["broken.py"])[0]


def test_an_exception_of_a_security_rule_without_a_reason_is_complained_about(tmp_path: Path) -> None:
    path = tmp_path / "new.py"
    lines = [
        "x = 1  # noqa: S101",
        "x = 1  # noqa: S101 - why not",
        "x = 1  # noqa: S608, E501 -",
        "x = 1  # noqa: E501",
    ]
    path.write_text("\n".join(lines))
    assert [line.split(": ")[0].rpartition(":")[2] for line in without_reason(path)] == ["1", "3"]


def test_reasons_are_read_in_every_form_in_use() -> None:
    assert exempted("x  # noqa: S101 (for the type checker: a pipe)").reason == "for the type checker: a pipe"
    assert exempted("x  # noqa: S101, S108 - ours").codes == {"S101", "S108"}
    assert exempted("x  # a comment").codes == frozenset()
