from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mljupyter.errors import MLJupyterError
from mljupyter.registry import Registry
from mljupyter.registry.catalog.models import ModelRegistry
from mljupyter.registry.errors import (
    ArtifactError,
    ModelError,
    ModelInUseError,
    ModelNotFoundError,
    ModelPathNotFoundError,
)

from .processes import run_python


@pytest.fixture
def models(registry: Registry) -> ModelRegistry:
    return registry.models


def test_everything_registered_comes_back_in_another_process_too(models: ModelRegistry, model: Path, tmp_path) -> None:
    before = datetime.now(UTC)
    record = models.register(
        "diabetes-ridge",
        model,
        description="A ridge",
        tags={"area": "demo", "folds": 5, "tuned": True},
        properties={"rmse": 1.5},
        framework="ScikitLearn",
        framework_version="1.9.1",
        sample_input_dataset="in-1",
        sample_output_dataset="out-1",
        resource_configuration={"cpu": 1.5, "memoryInGB": 2},
        datasets=[("training", "diabetes-1")],
        run_id="run-7",
        experiment_name="ridge",
        created_by="ada",
    )
    assert (record.id, record.name, record.version, record.entry) == (
        "diabetes-ridge:1",
        "diabetes-ridge",
        1,
        "model.pkl",
    )
    assert (record.artifact.kind, record.artifact.size) == ("file", 7)
    assert record.tags == {"area": "demo", "folds": "5", "tuned": "True"}
    assert record.properties == {"rmse": "1.5"}
    assert (record.framework, record.framework_version) == ("ScikitLearn", "1.9.1")
    assert (record.sample_input_dataset, record.sample_output_dataset) == ("in-1", "out-1")
    assert record.resource_configuration == {"cpu": 1.5, "memoryInGB": 2}
    assert record.datasets == [["training", "diabetes-1"]]
    assert (record.description, record.run_id, record.experiment_name) == ("A ridge", "run-7", "ridge")
    assert record.created_by == "ada"
    assert before <= record.created_time <= datetime.now(UTC)
    assert record.created_time.utcoffset() == timedelta(0)
    code = """
        import sys
        from pathlib import Path
        from mljupyter.registry import Registry
        with Registry.open(Path(sys.argv[1])) as registry:
            print(repr(registry.models.get("diabetes-ridge")))
    """
    assert run_python(code, tmp_path / "workspace").strip() == repr(record)


def test_defaults_are_empty(models: ModelRegistry, model: Path) -> None:
    record = models.register("ridge", str(model))
    assert (record.description, record.framework, record.resource_configuration, record.run_id) == (None,) * 4
    assert (record.tags, record.properties, record.datasets) == ({}, {}, [])
    assert record.created_by


def test_versions_count_per_name_and_are_never_given_twice(models: ModelRegistry, model: Path) -> None:
    assert [models.register(name, model).id for name in ("a", "a", "b", "a")] == ["a:1", "a:2", "b:1", "a:3"]
    models.delete("a:3")
    assert models.get("a").version == 2
    assert models.register("a", model).version == 4
    for version in (1, 2, 4):
        models.delete(f"a:{version}")
    assert models.register("a", model).version == 5


@pytest.mark.parametrize("name", ["a", "A.b_c-1", "9lives", "x" * 255])
def test_names_within_the_rule_are_taken(models: ModelRegistry, model: Path, name: str) -> None:
    assert models.register(name, model).name == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "_a", "a b", "a:1", "a/b", "ä", "x" * 256, "a\n", None, 7])
def test_names_against_the_rule_are_refused_with_the_rule(models: ModelRegistry, model: Path, name: object) -> None:
    with pytest.raises(MLJupyterError, match="Use 1 to 255 letters, digits"):
        models.register(name, model)  # type: ignore[arg-type]
    assert models.list() == []


def test_a_missing_path_is_a_file_not_found_error(models: ModelRegistry, tmp_path: Path) -> None:
    with pytest.raises(ModelPathNotFoundError, match=r"no-such.pkl does not exist") as caught:
        models.register("ridge", tmp_path / "no-such.pkl")
    assert isinstance(caught.value, FileNotFoundError)
    assert isinstance(caught.value, MLJupyterError)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"tags": ["area"]}, "tags must be a dict"),
        ({"tags": {"a": None}}, r"tags\['a'\] is a NoneType"),
        ({"properties": {"a": [1]}}, r"properties\['a'\] is a list"),
        ({"tags": {1: "a"}}, "key 1"),
        ({"tags": {"": "a"}}, "key ''"),
        ({"framework_version": "1.9"}, "no framework is given"),
        ({"framework": 7}, "framework is a int"),
        ({"resource_configuration": {"cpu": object()}}, "resource_configuration cannot be stored as JSON"),
        ({"datasets": [("training", object())]}, "datasets cannot be stored as JSON"),
        ({"child_paths": ["a"]}, "is a file"),
    ],
)
def test_values_against_the_rules_are_refused(models: ModelRegistry, model: Path, values, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        models.register("ridge", model, **values)
    assert models.list() == []


def test_a_directory_is_registered_with_all_below_it(registry: Registry, tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    record = registry.models.register("net", directory)
    assert (record.entry, record.artifact.kind, record.artifact.size) == ("net", "directory", 6)
    target = registry.artifacts.fetch(record.artifact.digest, tmp_path / "t")
    assert {path.relative_to(target).as_posix() for path in target.rglob("*")} == {"a", "sub", "sub/b", "sub/c"}


@pytest.mark.parametrize(
    ("children", "found"),
    [(["a"], {"a"}), (["sub"], {"sub", "sub/b", "sub/c"}), (["sub/b", Path("a")], {"a", "sub", "sub/b"})],
)
def test_child_paths_choose_what_is_stored(registry: Registry, tmp_path: Path, children, found: set[str]) -> None:
    record = registry.models.register("net", make_directory(tmp_path), child_paths=children)
    target = registry.artifacts.fetch(record.artifact.digest, tmp_path / "t")
    assert record.entry == "net"
    assert {path.relative_to(target).as_posix() for path in target.rglob("*")} == found


def test_child_paths_may_be_given_like_the_directory(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_directory(tmp_path)
    monkeypatch.chdir(tmp_path)
    record = registry.models.register("net", "net", child_paths=["net/a", str(tmp_path / "net" / "sub" / "b")])
    assert record.artifact.size == 3


def test_child_paths_missing_or_outside_are_refused(models: ModelRegistry, model: Path, tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    with pytest.raises(ModelPathNotFoundError, match="'gone' does not exist"):
        models.register("net", directory, child_paths=["a", "gone"])
    for outside in ("../model.pkl", str(model)):
        with pytest.raises(ModelError, match="outside of"):
            models.register("net", directory, child_paths=[outside])
    assert models.list() == []


def test_an_empty_directory_is_no_model(models: ModelRegistry, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="holds no content"):
        models.register("net", tmp_path / "empty")


def test_a_link_out_of_the_directory_is_refused(models: ModelRegistry, tmp_path: Path) -> None:
    directory = make_directory(tmp_path)
    (directory / "out").symlink_to("/etc/hosts")
    with pytest.raises(ArtifactError, match="outside of"):
        models.register("net", directory)
    assert models.list() == []


def test_a_model_is_found_by_name_version_and_id(models: ModelRegistry, model: Path) -> None:
    for _ in range(11):
        models.register("ridge", model)
    assert models.get("ridge").version == 11
    assert models.get("ridge", 3) == models.get_by_id("ridge:3")


def test_what_is_not_found_says_so_and_offers_the_nearest(models: ModelRegistry, model: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"^ModelNotFound: .*None is registered"):
        models.get("diabetes-ridge")
    models.register("diabetes-ridge", model)
    models.register("churn", model)
    for call, says in (
        (lambda: models.get("diabetes_ridg"), "Did you mean 'diabetes-ridge'?"),
        (lambda: models.get_by_id("diabetes_ridg:1"), "Did you mean 'diabetes-ridge'?"),
        (lambda: models.get("zzz"), "There are: churn, diabetes-ridge"),
        (lambda: models.get("churn", 2), "has no version 2. It has: 1"),
        (lambda: models.get_by_id("churn"), "name:version"),
        (lambda: models.get_by_id("churn:-1"), "name:version"),
        (lambda: models.get_by_id("churn:" + "9" * 40), "name:version"),
        (lambda: models.update("zzz:1"), "zzz"),
        (lambda: models.delete("zzz:1"), "zzz"),
        (lambda: models.add_reference("endpoint a", ["churn:1", "zzz:1"]), "zzz"),
    ):
        with pytest.raises(ModelNotFoundError) as caught:
            call()
        assert str(caught.value).startswith("ModelNotFound:")
        assert says in str(caught.value)
    assert models.references("churn:1") == []


def test_a_list_is_filtered(models: ModelRegistry, model: Path) -> None:
    models.register("a", model, tags={"area": "demo", "x": "1"}, run_id="r1", framework="Onnx")
    models.register("a", model, tags={"area": "prod"}, properties={"p": "1"})
    models.register("b", model, tags={"area": "demo"}, framework="Onnx")

    def ids(**filters: object) -> list[str]:
        return [record.id for record in models.list(**filters)]  # type: ignore[arg-type]

    assert ids() == ["a:2", "a:1", "b:1"]
    assert ids(name="a") == ["a:2", "a:1"]
    assert ids(latest=True) == ["a:2", "b:1"]
    assert ids(tags=["area"]) == ["a:2", "a:1", "b:1"]
    assert ids(tags=[["area", "demo"]]) == ["a:1", "b:1"]
    assert ids(tags=[("area", "demo"), "x"]) == ["a:1"]
    assert ids(tags=[["x", 1]]) == ["a:1"]
    assert ids(tags=[["area", "demo"]], latest=True) == ["b:1"]
    assert ids(properties=["p"]) == ["a:2"]
    assert ids(run_id="r1") == ["a:1"]
    assert ids(framework="Onnx", latest=True) == ["b:1"]
    assert ids(name="c") == []


@pytest.mark.parametrize("tags", ["area", [7], [["a", "b", "c"]], [[]], {"area": "demo"}])
def test_a_filter_out_of_form_is_refused(models: ModelRegistry, tags: object) -> None:
    with pytest.raises(ModelError, match=r"list of 'key' or \['key', 'value'\]"):
        models.list(tags=tags)  # type: ignore[arg-type]


def test_tags_change_and_properties_are_only_added(models: ModelRegistry, model: Path) -> None:
    before = models.register("a", model, tags={"x": "1", "y": "1"}, properties={"p": "1"}, description="old")
    after = models.update("a:1", add_tags={"x": 2, "z": "3"}, remove_tags=["y", "never"], add_properties={"q": 2})
    assert (after.tags, after.properties, after.description) == ({"x": "2", "z": "3"}, {"p": "1", "q": "2"}, "old")
    assert after == models.get("a")
    assert after.created_time == before.created_time
    after = models.update("a:1", tags={"only": "this"}, description="new", add_datasets=[("training", "d")])
    assert (after.tags, after.description, after.datasets) == ({"only": "this"}, "new", [["training", "d"]])
    with pytest.raises(ModelError, match="properties p already"):
        models.update("a:1", add_properties={"p": "1"}, description="not this")
    assert models.get("a").description == "new"
    with pytest.raises(ModelError, match="remove_tags"):
        models.update("a:1", remove_tags="only")


def test_a_model_in_use_is_not_deleted(models: ModelRegistry, model: Path) -> None:
    for _ in range(2):
        models.register("a", model)
    models.add_reference("endpoint churn", ["a:1", "a:2", "a:1"])
    models.add_reference("endpoint churn", ["a:1"])
    models.add_reference("endpoint ads", ["a:1"])
    assert models.references("a:1") == ["endpoint ads", "endpoint churn"]
    with pytest.raises(ModelInUseError, match="endpoint ads, endpoint churn") as caught:
        models.delete("a:1")
    assert caught.value.holders == ["endpoint ads", "endpoint churn"]
    models.release("endpoint churn", ["a:2"])
    models.delete("a:2")
    models.release("endpoint churn")
    models.release("endpoint ads")
    models.delete("a:1")
    models.release("endpoint never known")
    assert models.list() == []


def make_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "net"
    (directory / "sub").mkdir(parents=True)
    (directory / "a").write_bytes(b"a")
    (directory / "sub" / "b").write_bytes(b"bb")
    (directory / "sub" / "c").write_bytes(b"ccc")
    return directory
