"""Files and directories as --environment: what is read, what is said, and what the real resolver installs of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.build.environments.uv_environments import ensure_environment
from mljupyter.core import Workspace
from mljupyter.exceptions import UserErrorException
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.sources.environments import environment_named
from tests.build import source_packages
from tests.build.package_index import PackageIndex


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLJUPYTER_HOME", str(tmp_path_factory.mktemp("home")))
        yield Workspace.create("files")


@pytest.mark.parametrize("by_directory", [False, True], ids=["the file", "its directory"])
def test_a_project_file_installs_its_dependencies_and_says_what_it_leaves_out(
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    by_directory: bool,
) -> None:
    project = tmp_path / "pro ject"
    wheel = source_packages.wheel_file(project / "wheels", "linked")
    (project / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f'dependencies = ["tiny<2", "linked @ file:wheels/{wheel.name}"]\n'
        '[dependency-groups]\ntest = ["does-not-exist"]\n'
    )
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    with PackageIndex() as index:
        index.add("tiny", "1.0")
        index.add("tiny", "2.0")
        monkeypatch.setenv("PIP_INDEX_URL", index.option.partition(" ")[2])
        given = project if by_directory else project / "pyproject.toml"
        environment, code = environment_named(workspace, str(given), "iris")
        built = ensure_environment(environment.definition(), tmp_path / "environments")
    assert code == f"Environment.from_pip_requirements('iris-environment', '{project}/pyproject.toml')"
    assert "Not installed, of pyproject.toml: dependency group test\n" in capsys.readouterr().out
    program = "import json, tiny, linked; print(json.dumps([tiny.VERSION, linked.VERSION]))"
    answer = subprocess.run([built.interpreter, "-I", "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(answer.stdout) == ["1.0", "1.0"]


@pytest.mark.parametrize("name", ["requirements.txt", "environment.yml", "conda.yaml"])
def test_the_only_file_with_packages_of_a_directory_is_taken(workspace: Workspace, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.txt").write_text("not packages")
    (tmp_path / name).write_text("six\n" if name.endswith("txt") else "dependencies: [{pip: [six]}]\n")
    environment, code = environment_named(workspace, str(tmp_path), "iris")
    assert repr(str(tmp_path / name)) in code
    assert list(environment.python.conda_dependencies.pip_packages) == ["six"]


def test_a_directory_with_several_files_or_none_is_refused_by_name(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(WrongInputError, match=r"has none of requirements\.txt, .*, pyproject\.toml"):
        environment_named(workspace, str(tmp_path), "iris")
    (tmp_path / "requirements.txt").write_text("six\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(WrongInputError, match=r"has requirements\.txt and pyproject\.toml. Name one: .*/requirements"):
        environment_named(workspace, f"{tmp_path}/", "iris")


def test_a_project_file_that_cannot_be_read_is_an_error_with_its_path(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.poetry.dependencies]\nsix = '^1'\n")
    with pytest.raises(UserErrorException, match="poetry export") as caught:
        environment_named(workspace, str(tmp_path), "iris")
    assert str(tmp_path / "pyproject.toml") in str(caught.value)
