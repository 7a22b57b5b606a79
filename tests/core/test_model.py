from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.core.model import Model
from mljupyter.core.resource_configuration import ResourceConfiguration
from mljupyter.core.workspace import Workspace
from mljupyter.exceptions import ModelNotFoundException, UserErrorException, WebserviceException


@pytest.fixture
def model_file(project: Path) -> Path:
    file = project / "model.pkl"
    file.write_bytes(b"weights")
    return file


def test_register_prints_and_numbers_versions(
    workspace: Workspace, model_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Model.register(workspace, "model.pkl", "ridge", tags={"area": "demo"}, description="d")
    assert capsys.readouterr().out == "Registering model ridge\n"
    second = Model.register(workspace=workspace, model_path=model_file, model_name="ridge")
    assert (first.id, first.version, second.id) == ("ridge:1", 1, "ridge:2")
    assert (first.tags, first.description, first.name) == ({"area": "demo"}, "d", "ridge")
    assert repr(first) == "Model(name=ridge, id=ridge:1)"


def test_a_model_is_found_by_name_version_id_and_filters(workspace: Workspace, model_file: Path) -> None:
    Model.register(workspace, "model.pkl", "ridge", tags={"stage": "old"}, model_framework=Model.Framework.SCIKITLEARN)
    Model.register(workspace, "model.pkl", "ridge", tags={"stage": "new"})
    Model.register(workspace, "model.pkl", "lasso", tags={"stage": "new"})
    assert Model(workspace, "ridge").id == "ridge:2"
    assert Model(workspace, name="ridge", version=1).id == "ridge:1"
    assert Model(workspace, id="ridge:1").id == "ridge:1"
    assert Model(workspace, "ridge", tags=[["stage", "old"]]).id == "ridge:1"
    assert Model(workspace, tags=["stage"]).id == "lasso:1"
    assert Model(workspace, model_framework="ScikitLearn").id == "ridge:1"
    assert [model.id for model in Model.list(workspace)] == ["lasso:1", "ridge:2", "ridge:1"]
    assert [model.id for model in Model.list(workspace, name="ridge", latest=True)] == ["ridge:2"]
    assert [model.id for model in Model.list(workspace, tags=[["stage", "new"]])] == ["lasso:1", "ridge:2"]
    assert {name: model.version for name, model in workspace.models.items()} == {"lasso": 1, "ridge": 2}


@pytest.mark.parametrize(
    "filters",
    [
        {"name": "ridg"},
        {"name": "ridge", "version": 7},
        {"id": "ridge:7"},
        {"id": "ridge"},
        {"name": "ridge", "tags": [["stage", "x"]]},
        {"id": "ridge:1", "tags": [["stage", "x"]]},
    ],
)
def test_an_absent_model_raises_model_not_found(
    workspace: Workspace, model_file: Path, filters: dict[str, object]
) -> None:
    Model.register(workspace, "model.pkl", "ridge", tags={"stage": "new"})
    with pytest.raises(WebserviceException, match="ModelNotFound"):
        Model(workspace, **filters)  # type: ignore[arg-type]


def test_wrong_filters_are_errors(workspace: Workspace) -> None:
    with pytest.raises(UserErrorException, match="is not a filter"):
        Model.list(workspace, tags=[["a", "b", "c"]])
    with pytest.raises(WebserviceException, match="page_count is 5"):
        Model.list(workspace, page_count=5)
    with pytest.raises(WebserviceException, match="needs a name"):
        Model(workspace)
    with pytest.raises(TypeError, match="nmae"):
        Model(workspace, nmae="ridge")


def test_bad_registrations_leave_no_version(workspace: Workspace, model_file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Model.register(workspace, "absent.pkl", "ridge")
    with pytest.raises(WebserviceException, match="Invalid model name"):
        Model.register(workspace, "model.pkl", "my model")
    with pytest.raises(WebserviceException, match="framework"):
        Model.register(workspace, "model.pkl", "ridge", model_framework_version="1.0")
    with pytest.raises(WebserviceException, match="tags"):
        Model.register(workspace, "model.pkl", "ridge", tags=["a"])  # type: ignore[arg-type]
    assert list(Model.list(workspace)) == []


def test_child_paths_take_a_part_of_a_directory(workspace: Workspace, project: Path) -> None:
    (project / "outputs/deep").mkdir(parents=True)
    for name in ("a.txt", "b.txt", "deep/c.txt"):
        (project / "outputs" / name).write_text(name)
    model = Model.register(workspace, "outputs", "parts", child_paths=["a.txt", "deep/c.txt"])
    fetched = Path(model.download("fetched"))
    assert sorted(p.relative_to(fetched).as_posix() for p in fetched.rglob("*.txt")) == ["a.txt", "deep/c.txt"]
    with pytest.raises(WebserviceException, match=r"missing\.txt"):
        Model.register(workspace, "outputs", "parts", child_paths=["missing.txt"])


def test_download_gives_a_copy_of_ones_own(workspace: Workspace, model_file: Path) -> None:
    model = Model.register(workspace, "model.pkl", "ridge")
    path = Path(model.download("target"))
    assert path == Path("target/model.pkl")
    path.write_bytes(b"changed")
    with pytest.raises(WebserviceException, match="exist_ok=True"):
        model.download("target")
    assert path.read_bytes() == b"changed"
    assert Path(model.download("target", exist_ok=True)).read_bytes() == b"weights"
    assert Path(model.download("target", exists_ok=True)).read_bytes() == b"weights"
    assert [entry.name for entry in Path("target").iterdir()] == ["model.pkl"]


def test_download_replaces_a_directory_whole(workspace: Workspace, project: Path) -> None:
    (project / "model").mkdir()
    (project / "model/weights").write_bytes(b"weights")
    model = Model.register(workspace, "model", "net")
    (project / "model/left-over").touch()
    path = Path(model.download(project, exist_ok=True))
    assert [entry.name for entry in path.iterdir()] == ["weights"]
    assert sorted(entry.name for entry in project.iterdir()) == ["model"]


def test_tags_change_and_properties_are_only_added(workspace: Workspace, model_file: Path) -> None:
    model = Model.register(workspace, "model.pkl", "ridge", tags={"a": "1"}, properties={"p": "1"})
    model.add_tags({"b": "2"})
    model.remove_tags(["a", "absent"])
    model.add_properties({"q": "2"})
    assert (model.tags, model.properties) == ({"b": "2"}, {"p": "1", "q": "2"})
    with pytest.raises(WebserviceException, match="p"):
        model.add_properties({"p": "3"})
    model.update(
        tags={"c": "3"}, description="new", resource_configuration=ResourceConfiguration(cpu=1, memory_in_gb=2)
    )
    again = Model(workspace, "ridge")
    assert (again.tags, again.description) == ({"c": "3"}, "new")
    assert again.resource_configuration == ResourceConfiguration(1, 2)


def test_a_resource_configuration_is_above_zero() -> None:
    with pytest.raises(UserErrorException, match=r"cpu is 0.*\n.*gpu is -1"):
        ResourceConfiguration(cpu=0, memory_in_gb=1, gpu=-1)


def test_serialize_shows_what_is_known(workspace: Workspace, model_file: Path) -> None:
    model = Model.register(workspace, "model.pkl", "ridge", datasets=[("training", "d1"), ("training", "d2")])
    document = model.serialize()
    assert (document["id"], document["unpack"], document["datasets"]) == (
        "ridge:1",
        False,
        {"training": ["d1", "d2"]},
    )
    assert [found.id for found in Model.list(workspace, dataset_id="d2")] == ["ridge:1"]


def test_a_deleted_model_is_gone(workspace: Workspace, model_file: Path) -> None:
    model = Model.register(workspace, "model.pkl", "ridge")
    model.delete()
    with pytest.raises(WebserviceException, match="ModelNotFound"):
        model.delete()
    assert Model.register(workspace, "model.pkl", "ridge").id == "ridge:2"


def put(root: Path, *paths: str) -> None:
    for path in paths:
        (root / "azureml-models" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "azureml-models" / path).touch()


def test_in_a_replica_the_only_entry_of_the_newest_version_is_the_path(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AML_APP_ROOT", str(project / "app"))
    put(project / "app", "ridge/9/model.pkl", "ridge/10/newer.pkl", "two/1/a", "two/1/b")
    models = project / "app/azureml-models"
    assert Model.get_model_path("ridge") == str(models / "ridge/10/newer.pkl")
    assert Model.get_model_path("ridge", 9) == str(models / "ridge/9/model.pkl")
    for name, version in (("ridge", 3), ("two", None), ("absent", None)):
        with pytest.raises(ModelNotFoundException, match="ModelNotFound"):
            Model.get_model_path(name, version)


def test_elsewhere_a_path_of_that_name_is_taken(project: Path) -> None:
    (project / "ridge").touch()
    assert Model.get_model_path("ridge") == "ridge"
    with pytest.raises(ModelNotFoundException, match=r"download\(\)"):
        Model.get_model_path("lasso")


def test_with_a_workspace_the_model_is_fetched(workspace: Workspace, model_file: Path) -> None:
    Model.register(workspace, "model.pkl", "ridge")
    path = Path(Model.get_model_path("ridge", _workspace=workspace))
    assert path.read_bytes() == b"weights"
    assert Model.get_model_path("ridge") == str(path), "and found again without"
