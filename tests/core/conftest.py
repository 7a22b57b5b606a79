from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.core.workspace import Workspace

SCRIPT = """
import json


def init():
    pass


def run(data):
    return {"sum": sum(json.loads(data)["data"])}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory, and a home of workspaces that is empty, too."""
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    monkeypatch.delenv("AML_APP_ROOT", raising=False)
    return directory


@pytest.fixture
def workspace(project: Path) -> Workspace:
    return Workspace.create("churn-team")


@pytest.fixture
def script(project: Path) -> Path:
    file = project / "score.py"
    file.write_text(SCRIPT)
    return file
