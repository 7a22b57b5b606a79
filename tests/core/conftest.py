from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core.webservice import Webservice
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


@pytest.fixture(scope="module")
def module_workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """One workspace for the tests of a module: its controller and router take two seconds of a processor to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("home")))
        workspace = Workspace.create("shared")
        yield workspace
        workspace.delete(delete_dependent_resources=True)


@pytest.fixture
def shared_workspace(module_workspace: Workspace, project: Path) -> Iterator[Workspace]:
    """Return the workspace of the module, without web services; the directory and the home are the test's own."""
    yield module_workspace
    for service in Webservice.list(module_workspace):
        service.delete()


@pytest.fixture
def script(project: Path) -> Path:
    file = project / "score.py"
    file.write_text(SCRIPT)
    return file
