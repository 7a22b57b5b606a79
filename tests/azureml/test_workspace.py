"""`Workspace.from_config` of old notebooks: with a configuration file, and without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mljupyter.azureml import first_workspace

pytestmark = pytest.mark.usefixtures("names")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    monkeypatch.setattr(first_workspace, "_said", False)
    return directory


def test_without_a_config_the_default_workspace_is_created_which_is_said_once(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from azureml.core import Workspace

    made = Workspace.from_config()
    said = capsys.readouterr().out
    assert made.name == "default"
    assert f"No workspace config in {project} or above it: workspace 'default' is created, in {made.directory}" in said
    assert Workspace.from_config().directory == made.directory
    assert Workspace.from_config(path="./config.json").directory == made.directory
    assert capsys.readouterr().out == ""


def test_an_existing_default_workspace_is_said_to_be_in_use(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from azureml.core import Workspace

    Workspace.create("default")
    Workspace.from_config()
    assert "workspace 'default' is in use" in capsys.readouterr().out


def test_the_workspace_of_the_environment_variable_is_taken(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from azureml.core import Workspace

    made = Workspace.create("team", path=project / "shared")
    monkeypatch.setenv("MLJUPYTER_WORKSPACE", str(project / "shared"))
    assert Workspace.from_config().directory == made.directory
    assert "workspace 'team' is in use" in capsys.readouterr().out


def test_the_names_of_a_config_are_kept(project: Path) -> None:
    from azureml.core import Workspace

    config = {"subscription_id": "1234", "resource_group": "docs", "workspace_name": "docs-ws"}
    (project / "config.json").write_text(json.dumps(config))
    made = Workspace.from_config()
    assert (made.name, made.resource_group, made.subscription_id) == ("docs-ws", "docs", "1234")
