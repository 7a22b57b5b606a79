from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import stat
from pathlib import Path

import pytest

from mljupyter.core.selection import default_workspace, open_workspace
from mljupyter.core.workspace import Workspace
from mljupyter.exceptions import UserErrorException, WorkspaceException
from mljupyter.workspace import index
from tests.waiting import HANG_SECONDS


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_workspace_lies_in_the_home_and_is_private(project: Path) -> None:
    workspace = Workspace.create("churn-team", tags={"area": "demo"}, location="westeurope")
    assert workspace.directory == index.home() / "workspaces" / "churn-team"
    assert mode(workspace.directory) == mode(index.home()) == 0o700
    assert mode(workspace.directory / "workspace.json") == 0o600
    document = json.loads((workspace.directory / "workspace.json").read_text())
    assert document["name"] == "churn-team"
    assert document["tags"] == {"area": "demo"}
    assert {"id", "createdTime", "subscriptionId", "resourceGroup", "location"} <= set(document)


def test_get_finds_what_create_made(project: Path) -> None:
    made = Workspace.create("churn-team", subscription_id="sub-1", resource_group="team")
    found = Workspace.get("churn-team")
    assert (found.name, found.subscription_id, found.resource_group) == ("churn-team", "sub-1", "team")
    assert found.get_details()["workspaceid"] == made.get_details()["workspaceid"]
    assert Workspace("sub-1", "team", "churn-team").directory == made.directory


def test_a_name_is_taken_only_once_unless_that_is_all_right(project: Path) -> None:
    first = Workspace.create("churn-team")
    with pytest.raises(WorkspaceException, match="exist_ok=True"):
        Workspace.create("churn-team")
    again = Workspace.create("churn-team", exist_ok=True)
    assert again.get_details()["workspaceid"] == first.get_details()["workspaceid"]


@pytest.mark.parametrize("name", ["ab", "-team", "churn team", "a" * 34, "../x", ""])
def test_a_name_against_the_rule_is_refused_with_an_example(project: Path, name: str) -> None:
    with pytest.raises(UserErrorException, match="churn-team"):
        Workspace.create(name)
    assert not index.index().exists()


def test_an_unknown_name_is_an_error_that_says_how_to_make_it(project: Path) -> None:
    Workspace.create("other")
    with pytest.raises(WorkspaceException, match=r"There: other\.\nTo make it: Workspace\.create\('churn-team'\)"):
        Workspace.get("churn-team")


def test_a_chosen_directory_is_found_by_name_and_survives_a_moved_home(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Workspace.create("churn-team", path="place")
    assert made.directory == project / "place"
    assert mode(made.directory) == 0o700
    assert (index.index() / "churn-team").is_symlink()
    moved = project / "moved-home"
    index.home().rename(moved)
    monkeypatch.setenv("MLJUPYTER_HOME", str(moved))
    assert Workspace.get("churn-team").directory == project / "place"


def test_a_directory_with_other_content_is_refused(project: Path) -> None:
    (project / "place").mkdir(mode=0o755)
    (project / "place" / "data.csv").touch()
    with pytest.raises(WorkspaceException, match="not empty"):
        Workspace.create("churn-team", path="place")
    assert mode(project / "place") == 0o755
    assert Workspace.list() == {}


def test_a_directory_that_is_a_workspace_already_is_entered_into_the_index(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Workspace.create("churn-team", path="place")
    monkeypatch.setenv("MLJUPYTER_HOME", str(project / "another-home"))
    again = Workspace.create("churn-team", path="place")
    assert again.get_details()["workspaceid"] == made.get_details()["workspaceid"]
    assert Workspace.get("churn-team").directory == made.directory
    with pytest.raises(WorkspaceException, match="holds the workspace 'churn-team' already"):
        Workspace.create("another", path="place")


def test_a_name_cannot_stand_for_two_directories(project: Path) -> None:
    Workspace.create("churn-team", path="place")
    with pytest.raises(WorkspaceException, match="exists already"):
        Workspace.create("churn-team", path="elsewhere", exist_ok=True)


def test_a_directory_that_has_gone_is_named(project: Path) -> None:
    Workspace.create("churn-team", path="place")
    shutil.rmtree(project / "place")
    with pytest.raises(WorkspaceException, match=r"'churn-team' is gone.*place.*\n.*rm .*churn-team"):
        Workspace.get("churn-team")
    assert Workspace.list() == {}


def test_creation_cut_short_can_be_repeated(project: Path) -> None:
    index.index().mkdir(parents=True)
    (index.index() / "churn-team").symlink_to(project / "place")
    made = Workspace.create("churn-team", path="place")
    assert Workspace.get("churn-team").directory == made.directory


def test_a_place_that_cannot_be_written_is_an_error_with_the_way_out(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "file").touch()
    monkeypatch.setenv("MLJUPYTER_HOME", str(project / "file" / "home"))
    with pytest.raises(WorkspaceException, match="MLJUPYTER_HOME"):
        Workspace.create("churn-team")


def _create(name: str, results: multiprocessing.Queue[str]) -> None:
    results.put(Workspace.create(name, exist_ok=True).get_details()["workspaceid"])


def test_several_processes_that_create_one_workspace_get_the_same(project: Path) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=_create, args=("churn-team", results)) for _ in range(8)]
    for process in processes:
        process.start()
    ids = {results.get(timeout=HANG_SECONDS) for _ in processes}
    for process in processes:
        process.join()
    assert len(ids) == 1
    assert [entry.name for entry in index.index().iterdir()] == ["churn-team"]


def test_list_maps_names_to_lists_and_filters(project: Path) -> None:
    Workspace.create("one", subscription_id="a")
    Workspace.create("two", subscription_id="b", path="place")
    assert {name: found[0].name for name, found in Workspace.list().items()} == {"one": "one", "two": "two"}
    assert list(Workspace.list("b")) == ["two"]


def test_write_config_and_from_config_go_together(project: Path) -> None:
    made = Workspace.create("churn-team", path="place")
    made.write_config()
    assert json.loads((project / ".azureml/config.json").read_text())["workspace_name"] == "churn-team"
    (project / "deep/er").mkdir(parents=True)
    os.chdir(project / "deep/er")
    assert Workspace.from_config().directory == made.directory
    made.write_config(project / "other", "mine.json")
    assert Workspace.from_config(project / "other" / ".azureml" / "mine.json").name == "churn-team"
    assert Workspace.from_config(project / "other", _file_name="mine.json").name == "churn-team"


def test_no_config_is_an_error_with_the_way_out(project: Path) -> None:
    with pytest.raises(UserErrorException, match="write_config"):
        Workspace.from_config()


def test_the_config_of_a_cloud_workspace_makes_one_here_and_says_so(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "config.json").write_text(
        json.dumps({"subscription_id": "sub-1", "resource_group": "team", "workspace_name": "docs-ws"})
    )
    made = Workspace.from_config()
    assert (made.name, made.subscription_id, made.resource_group) == ("docs-ws", "sub-1", "team")
    assert capsys.readouterr().out.count("\n") == 1
    assert Workspace.from_config().directory == made.directory
    assert capsys.readouterr().out == ""


def test_a_config_from_another_machine_with_a_path_there_makes_one_in_the_home(project: Path) -> None:
    (project / "config.json").write_text(json.dumps({"workspace_name": "docs-ws", "path": "/no/such/place"}))
    assert Workspace.from_config().directory == index.index() / "docs-ws"
    (project / "config.json").write_text(json.dumps({"workspace_name": "near", "path": "near"}))
    assert Workspace.from_config().directory == project / "near"


def test_the_default_workspace_is_that_of_the_variable_then_of_the_config_then_default(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_workspace().name == "default"
    Workspace.create("configured").write_config()
    assert default_workspace().name == "configured"
    monkeypatch.setenv("MLJUPYTER_WORKSPACE", "by-name")
    assert default_workspace().directory == index.index() / "by-name"
    monkeypatch.setenv("MLJUPYTER_WORKSPACE", str(project / "by-path"))
    assert default_workspace().directory == project / "by-path"
    assert default_workspace().name == "by-path"


def test_a_workspace_is_opened_by_name_or_directory_and_the_nearest_name_is_told(project: Path) -> None:
    made = open_workspace("churn-team", create=True)
    assert open_workspace("churn-team").directory == made.directory
    assert open_workspace(str(made.directory)).name == "churn-team"
    with pytest.raises(WorkspaceException, match="no workspace 'churn-tem' .*Did you mean 'churn-team'"):
        open_workspace("churn-tem")
    with pytest.raises(WorkspaceException, match="no workspace in the directory './nothing'"):
        open_workspace("./nothing")


def test_arguments_that_name_parts_of_a_cloud_are_said_to_have_no_effect(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Workspace.create("plain", location="eastus", sku="basic")
    assert capsys.readouterr().out == ""
    Workspace.create("cloudy", sku="enterprise", storage_account="account", hbi_workspace=True)
    assert capsys.readouterr().out == (
        "sku, storage_account, hbi_workspace of Workspace.create has no effect here: "
        "a workspace is a directory of this machine.\n"
    )
