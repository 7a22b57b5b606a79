"""Datastores: the workspace's own, local folders, and URLs."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import pytest

from mljupyter.core import Dataset, Datastore, Workspace
from mljupyter.core.data import DataPath
from mljupyter.deploy.gc import collect_garbage
from mljupyter.exceptions import UserErrorException


@pytest.fixture
def files(project: Path) -> Path:
    folder = project / "files"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep/b.txt").write_text("b")
    return folder


@pytest.fixture(params=["own", "folder", "url"])
def datastore(request: pytest.FixtureRequest, shared_workspace: Workspace, tmp_path: Path) -> Datastore:
    """An empty datastore of each kind: the rules are the same."""
    if request.param == "own":
        return Workspace.create(f"own-{uuid.uuid4().hex[:8]}").get_default_datastore()
    place = str(tmp_path / "place") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/data"
    return Datastore.register(shared_workspace, f"store_{request.param}", place, overwrite=True)


def listed(datastore: Datastore, below: str = "") -> list[str]:
    return [*datastore.workspace.context.tracking.datastores.files(datastore.name).list(below)]


class TestFiles:
    def test_a_folder_is_uploaded_and_downloaded(self, datastore: Datastore, files: Path, project: Path) -> None:
        reference = datastore.upload(files, target_path="data", show_progress=False)
        assert reference.path_on_datastore == "data"
        assert listed(datastore) == ["data/a.txt", "data/deep/b.txt"]
        assert datastore.download("copy", prefix="data/deep", show_progress=False) == 1
        assert (project / "copy/data/deep/b.txt").read_text() == "b"
        assert datastore.download("copy", show_progress=False) == 1, "a local file is left as it is"
        assert datastore.download("copy", overwrite=True, show_progress=False) == 2

    def test_files_keep_their_names_or_their_folders(self, datastore: Datastore, files: Path) -> None:
        paths = [str(files / "a.txt"), str(files / "deep/b.txt")]
        datastore.upload_files(paths, target_path="flat", show_progress=False)
        datastore.upload_files(paths, relative_root=str(files), target_path="deep", show_progress=False)
        assert listed(datastore) == ["deep/a.txt", "deep/deep/b.txt", "flat/a.txt", "flat/b.txt"]

    def test_a_file_is_replaced_only_when_that_is_asked_for(
        self, datastore: Datastore, files: Path, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        datastore.upload_files([files / "a.txt"], show_progress=False)
        (files / "a.txt").write_text("later")
        datastore.upload_files([files / "a.txt"])
        assert "a.txt exists: not replaced" in capsys.readouterr().out
        datastore.download("one", show_progress=False)
        assert (project / "one/a.txt").read_text() == "a"
        datastore.upload_files([files / "a.txt"], overwrite=True)
        datastore.download("two", show_progress=False)
        assert (project / "two/a.txt").read_text() == "later"

    @pytest.mark.parametrize("target", ["../out", "a/../../out"])
    def test_no_path_leads_out(self, datastore: Datastore, files: Path, target: str) -> None:
        with pytest.raises(UserErrorException, match="Rule: relative"):
            datastore.upload_files([files / "a.txt"], target_path=target)

    def test_missing_files_are_named(self, datastore: Datastore, project: Path) -> None:
        with pytest.raises(UserErrorException, match=r"'nowhere\.txt' is not a file"):
            datastore.upload_files(["nowhere.txt"])
        with pytest.raises(UserErrorException, match="is not a folder"):
            datastore.upload("nowhere")
        with pytest.raises(UserErrorException, match="a list of paths"):
            datastore.upload_files("iris.csv")

    def test_its_files_are_data(self, datastore: Datastore, files: Path, project: Path) -> None:
        datastore.upload(files, target_path="data", show_progress=False)
        for path in (datastore.path("data"), (datastore, "data/**"), DataPath(datastore, "data")):
            assert Dataset.File.from_files(path).to_path() == ["/a.txt", "/deep/b.txt"]


class TestCatalog:
    def test_each_workspace_has_a_default(self, workspace: Workspace) -> None:
        assert Datastore.get_default(workspace).name == workspace.get_default_datastore().name == "workspaceblobstore"
        assert {*workspace.datastores} == {"workspaceblobstore", "workspacefilestore"}

    def test_the_default_can_be_another_one(self, workspace: Workspace, project: Path) -> None:
        store = Datastore.register(workspace, "team_data", project / "place")
        store.set_as_default()
        assert workspace.get_default_datastore().name == "team_data" and store.is_default
        store.unregister()
        assert workspace.get_default_datastore().name == "workspaceblobstore"

    def test_one_that_is_missing_is_named_with_those_that_are_there(self, workspace: Workspace) -> None:
        with pytest.raises(UserErrorException, match=r"DatastoreNotFound.*'workspaceblobstore'\?"):
            Datastore.get(workspace, "workspaceblobstor")
        with pytest.raises(UserErrorException, match="DatastoreNotFound"):
            workspace.set_default_datastore("nowhere")

    def test_a_name_is_taken_once(self, workspace: Workspace, project: Path) -> None:
        Datastore.register(workspace, "team_data", project / "one")
        Datastore.register(workspace, "team_data", project / "one")
        with pytest.raises(UserErrorException, match="overwrite=True"):
            Datastore.register(workspace, "team_data", project / "two")
        replaced = Datastore.register(workspace, "team_data", project / "two", overwrite=True)
        assert replaced.location == str(project / "two")

    @pytest.mark.parametrize("name", ["ab", "team-data", "", 5])
    def test_a_name_against_the_rule_is_refused(self, workspace: Workspace, project: Path, name: object) -> None:
        with pytest.raises(UserErrorException, match="Use 3 to 255"):
            Datastore.register(workspace, name, project)  # type: ignore[arg-type]

    def test_the_workspaces_own_stays(self, workspace: Workspace, project: Path) -> None:
        with pytest.raises(UserErrorException, match="cannot be unregistered"):
            Datastore.get_default(workspace).unregister()
        with pytest.raises(UserErrorException, match="the workspace's own"):
            Datastore.register(workspace, "workspaceblobstore", project, overwrite=True)

    def test_a_url_with_a_password_is_refused_and_not_repeated(self, workspace: Workspace) -> None:
        with pytest.raises(UserErrorException, match="no password") as caught:
            Datastore.register(workspace, "secret_data", "sftp://ana:geheim@example.com/data")
        assert "geheim" not in str(caught.value)

    def test_an_unknown_protocol_is_refused(self, workspace: Workspace) -> None:
        with pytest.raises(UserErrorException, match="cannot be used as a datastore"):
            Datastore.register(workspace, "strange_data", "nowhere-at-all://x")

    def test_accounts_with_keys_name_the_call_that_does_it(self, workspace: Workspace) -> None:
        with pytest.raises(
            UserErrorException, match=r"Datastore\.register\(ws, 'blob', 'abfs://data@account"
        ) as caught:
            Datastore.register_azure_blob_container(workspace, "blob", "data", "account", account_key="geheim")
        assert "geheim" not in str(caught.value)

    def test_an_upload_is_refused_as_output_of_a_script(self, workspace: Workspace) -> None:
        with pytest.raises(UserErrorException, match="outputs/"):
            Datastore.get_default(workspace).path("x").as_upload()


def test_a_file_system_that_fails_is_one_sentence(workspace: Workspace, project: Path) -> None:
    (project / "place").mkdir()
    store = Datastore.register(workspace, "broken_data", project / "place")
    (project / "place").rmdir()
    (project / "place").write_text("a file")
    (project / "a.txt").write_text("a")
    with pytest.raises(UserErrorException, match="'broken_data'"):
        store.upload_files(["a.txt"])


def test_the_garbage_collection_keeps_the_files(workspace: Workspace, files: Path, project: Path) -> None:
    store = Datastore.get_default(workspace)
    store.upload(files, show_progress=False)
    workspace.registry.collect_garbage(workspace.context.tracking.digests)
    collect_garbage(workspace.context)
    assert store.download("copy", show_progress=False) == 2


def test_files_at_a_url_are_written_there(workspace: Workspace, files: Path) -> None:
    place = f"memory://{uuid.uuid4().hex}"
    Datastore.register(workspace, "memory_data", place).upload(files, target_path="x", show_progress=False)
    with fsspec.open(f"{place}/x/a.txt", "rt") as file:
        assert file.read() == "a"
