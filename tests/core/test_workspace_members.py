"""The members of a workspace that belong to a cloud elsewhere, and the objects made again from their JSON."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from mljupyter.core import (
    ContainerImage,
    Dataset,
    Experiment,
    Image,
    LocalWebservice,
    Model,
    Webservice,
    Workspace,
)
from mljupyter.core.workspace import _say_no_effect
from mljupyter.exceptions import UserErrorException, WebserviceException


@pytest.fixture
def model(workspace: Workspace, project: Path) -> Model:
    (project / "ridge.pkl").write_text("weights")
    return Model.register(workspace, "ridge.pkl", "ridge", tags={"area": "demo"})


class TestMembers:
    def test_everything_registered_is_a_dict_by_name(self, workspace: Workspace, project: Path, model: Model) -> None:
        (project / "a.csv").write_text("a\n1\n")
        Dataset.Tabular.from_delimited_files("a.csv").register(workspace, "numbers")
        Experiment(workspace, "diabetes")
        assert {*workspace.experiments} == {"diabetes"} and {*workspace.datasets} == {"numbers"}
        assert {*workspace.models} == {"ridge"} and "workspaceblobstore" in workspace.datastores
        assert "local" in workspace.compute_targets and workspace.images == {}
        assert workspace.private_endpoints == workspace.linked_services == {}
        assert workspace.get_default_compute_target("CPU") is None

    def test_the_details_have_the_keys_of_scripts(self, workspace: Workspace) -> None:
        details = workspace.get_details()
        wanted = {"id", "name", "location", "type", "sku", "workspaceid", "description", "friendlyName", "creationTime"}
        places = {"containerRegistry", "keyVault", "applicationInsights", "storageAccount"}
        assert wanted | places <= details.keys()
        assert details["storageAccount"].split("/")[-1] == "artifacts"

    def test_an_update_is_kept(self, workspace: Workspace) -> None:
        details = workspace.update(friendly_name="The team", description="All models", tags={"area": "demo"})
        assert (details["friendlyName"], details["description"]) == ("The team", "All models")
        again = Workspace.get(workspace.name)
        assert again.tags == {"area": "demo"} and again.get_details()["description"] == "All models"
        workspace.update(tags={})
        assert Workspace.get(workspace.name).tags == {}

    def test_another_registry_is_kept(self, workspace: Workspace) -> None:
        workspace.update_dependencies(container_registry="https://registry.example.com:5000/v2")
        assert Workspace.get(workspace.name).container_registry == "registry.example.com:5000"

    def test_parts_of_a_cloud_are_accepted_and_said(
        self, workspace: Workspace, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _say_no_effect.cache_clear()
        workspace.sync_keys()
        workspace.sync_keys()
        assert workspace.list_keys() == {} and workspace.list_connections() == []
        workspace.add_private_endpoint(None)
        workspace.delete_private_endpoint_connection("x")
        workspace.delete_connection("x")
        workspace.diagnose_workspace({})
        workspace.update(v1_legacy_mode=True)
        said = capsys.readouterr().out
        assert said.count("has no effect here") == 7 and "v1_legacy_mode of Workspace.update" in said

    def test_credentials_of_connections_belong_to_the_keyvault(self, workspace: Workspace) -> None:
        with pytest.raises(UserErrorException, match="set_secret") as caught:
            workspace.set_connection("feed", "PythonFeed", "https://example.com", "PAT", "geheim")
        assert "geheim" not in str(caught.value)
        with pytest.raises(UserErrorException, match="no connection 'feed'"):
            workspace.get_connection("feed")
        with pytest.raises(UserErrorException, match=r"Workspace\.create"):
            Workspace.setup()

    def test_mlflow_gets_a_database_in_the_workspace_or_that_of_the_environment(
        self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        assert workspace.get_mlflow_tracking_uri() == f"sqlite:///{workspace.directory}/mlflow.db"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example.com")
        assert workspace.get_mlflow_tracking_uri() == "http://mlflow.example.com"


class TestFromJson:
    def test_a_model(self, workspace: Workspace, model: Model) -> None:
        again = Model.deserialize(workspace, model.serialize())
        assert (again.id, again.tags) == (model.id, {"area": "demo"})
        payload = model.serialize()
        model.delete()
        with pytest.raises(WebserviceException, match="ModelNotFound"):
            Model.deserialize(workspace, payload)

    @pytest.mark.parametrize("payload", [None, "ridge:1", {}, {"id": 1}])
    def test_a_payload_of_another_form(self, workspace: Workspace, payload: object) -> None:
        for kind, key in ((Model, "id"), (Image, "id"), (Webservice, "name")):
            with pytest.raises(WebserviceException, match=f"no '{key}'"):
                kind.deserialize(workspace, payload)  # type: ignore[attr-defined]

    def test_what_is_not_there_keeps_its_token(self, workspace: Workspace) -> None:
        with pytest.raises(WebserviceException, match="ImageNotFound"):
            Image.deserialize(workspace, {"id": "myimage:1"})
        with pytest.raises(WebserviceException, match="WebserviceNotFound"):
            Webservice.deserialize(workspace, {"name": "diabetes"})
        with pytest.raises(NotImplementedError):
            LocalWebservice.deserialize(workspace, {"name": "diabetes"})

    def test_the_configuration_of_an_image_is_that_of_a_kind(self, script: Path) -> None:
        with pytest.raises(NotImplementedError, match=r"ContainerImage\.image_configuration"):
            Image.image_configuration()
        assert ContainerImage.image_configuration("score.py", "python").runtime == "python"


class TestUrls:
    def test_a_file_is_read_at_its_url(self, model: Model) -> None:
        ((name, url),) = model.get_sas_urls().items()
        assert name == "ridge.pkl"
        assert Path(url2pathname(urlsplit(url).path)).read_text() == "weights"

    def test_a_directory_has_a_url_for_each_file(self, workspace: Workspace, project: Path) -> None:
        (project / "net/deep").mkdir(parents=True)
        for name in ("a.bin", "deep/b.bin"):
            (project / "net" / name).write_text(name)
        urls = Model.register(workspace, "net", "net").get_sas_urls()
        read = {name: Path(url2pathname(urlsplit(url).path)).read_text() for name, url in urls.items()}
        assert read == {"net/a.bin": "a.bin", "net/deep/b.bin": "deep/b.bin"}
