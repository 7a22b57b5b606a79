from __future__ import annotations

import json
from pathlib import Path

import pytest

from mljupyter.exceptions import UserErrorException
from mljupyter.workspace import config_file


def write(file: Path, **data: object) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(data))
    return file


PLACES = [
    ".azureml/config.json",
    ".azureml/project.json",
    "aml_config/config.json",
    "aml_config/project.json",
    "config.json",
    "project.json",
]


@pytest.mark.parametrize(("first", "second"), [(PLACES[i], PLACES[i + 1]) for i in range(len(PLACES) - 1)])
def test_each_place_comes_before_the_next(tmp_path: Path, first: str, second: str) -> None:
    write(tmp_path / first, workspace_name="first")
    write(tmp_path / second, workspace_name="second")
    found = config_file.find(tmp_path)
    assert found is not None and found.workspace_name == "first"


def test_a_directory_comes_before_the_one_above_it(tmp_path: Path) -> None:
    write(tmp_path / ".azureml/config.json", workspace_name="above")
    write(tmp_path / "inner/config.json", workspace_name="inner")
    (tmp_path / "inner/deep/er").mkdir(parents=True)
    found = config_file.find(tmp_path / "inner/deep/er")
    assert found is not None and found.workspace_name == "inner"


def test_a_config_json_of_another_tool_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "model/config.json", architectures=["Bert"])
    (tmp_path / "model/project.json").write_text("no JSON {")
    write(tmp_path / ".azureml/config.json", workspace_name="above")
    found = config_file.find(tmp_path / "model")
    assert found is not None and found.workspace_name == "above"


def test_a_broken_config_in_its_own_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".azureml").mkdir()
    (tmp_path / ".azureml/config.json").write_text("{")
    with pytest.raises(UserErrorException, match=r"config\.json cannot be read as JSON"):
        config_file.find(tmp_path)


def test_a_config_without_a_name_is_an_error_that_shows_one(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", subscription_id="1")
    with pytest.raises(UserErrorException, match='"workspace_name": "churn-team"'):
        config_file.read(file)


def test_a_scope_gives_all_three_names(tmp_path: Path) -> None:
    scope = "/subscriptions/sub-1/resourceGroups/team/providers/Microsoft.MachineLearningServices/workspaces/churn"
    config = config_file.read(write(tmp_path / "config.json", Scope=scope))
    assert (config.subscription_id, config.resource_group, config.workspace_name) == ("sub-1", "team", "churn")


def test_a_scope_without_workspace_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserErrorException, match="workspaces/NAME"):
        config_file.read(write(tmp_path / "config.json", Scope="/subscriptions/1"))


def test_a_relative_path_counts_from_the_file(tmp_path: Path) -> None:
    config = config_file.read(write(tmp_path / "a/config.json", workspace_name="churn", path="../place"))
    assert config.path is not None and config.path.resolve() == tmp_path / "place"


def test_a_file_too_large_to_be_a_config_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"workspace_name": "churn", "filler": "x" * (1 << 20)}))
    assert config_file.find(tmp_path) is None


def test_nothing_found_is_none(tmp_path: Path) -> None:
    assert config_file.find(tmp_path, "only-this-name.json") is None
