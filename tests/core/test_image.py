"""Images in the SDK as far as nothing is built: configurations, versions, filters, what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mljupyter.core import ContainerImage, ContainerRegistry, Image, Model, Webservice, Workspace
from mljupyter.core.image import ContainerImageConfig
from mljupyter.deploy.images import smoke_test
from mljupyter.engine.replicas.revision import revision
from mljupyter.exceptions import AzureMLException, WebserviceException
from mljupyter.spec import SpecError, VersionSpec
from mljupyter.spec.names import IMAGE
from tests.waiting import promised

Configured = Callable[..., ContainerImageConfig]


@pytest.fixture
def configured(script: Path) -> Configured:
    def make(**changes: Any) -> ContainerImageConfig:
        return ContainerImage.image_configuration(**{"execution_script": "score.py", "runtime": "python"} | changes)

    return make


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Docker engine that does not answer, and no registry."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    monkeypatch.delenv("MLJUPYTER_CONTAINER_REGISTRY", raising=False)
    monkeypatch.delenv("MLJUPYTER_BASE_IMAGE", raising=False)


@pytest.fixture
def built(workspace: Workspace, configured: Configured, nowhere: None) -> ContainerImageConfig:
    """A configuration whose image was built before, as the registry of images has it."""
    config = configured(description="words", tags={"area": "demo"})
    plan = config.plan(workspace, "myimage", [])
    images = workspace.registry.images
    record = images.begin("earlier", plan_digest=plan.digest, place="docker", recipe=plan.recipe)
    images.succeed(record.id, location="mljupyter/earlier:1-abc", digest="sha256:" + "a" * 64)
    return config


class TestConfiguration:
    @pytest.mark.parametrize("name", ["code/score.py", "./score.py", "/tmp/score.py"])
    def test_the_script_lies_in_the_current_directory(self, configured: Configured, name: str) -> None:
        with pytest.raises(WebserviceException, match="name of a file in the current directory"):
            configured(execution_script=name)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"execution_script": "other.py"}, r"other\.py does not exist"),
            ({"runtime": "cobol"}, "runtime is 'cobol'"),
            ({"runtime": None}, "runtime is None"),
            ({"conda_file": "no.yml"}, r"conda_file 'no\.yml' does not exist"),
            ({"docker_file": "steps"}, "'steps' does not exist"),
            ({"schema_file": "schema.json"}, r"schema_file: 'schema\.json' does not exist"),
            ({"dependencies": ["data"]}, "dependencies: 'data' does not exist"),
            ({"dependencies": ["score.py"]}, r"same name as another file of the image, 'score\.py'"),
            ({"tags": "no"}, "tags is a str"),
            ({"cuda_version": "10.0"}, "without enable_gpu"),
            ({"enable_gpu": True, "cuda_version": "8.0"}, "cuda_version is '8.0'"),
            ({"runtime": "spark-py", "base_image": "python:3.11"}, "runtime 'spark-py' cannot be combined"),
            ({"base_image": "python:3.11", "base_image_registry": "host"}, "must be a ContainerRegistry"),
        ],
    )
    def test_what_breaks_a_rule_is_refused(self, configured: Configured, changes: dict, message: str) -> None:
        with pytest.raises(WebserviceException, match=message):
            configured(**changes)

    def test_a_base_registry_needs_all_three_parts_and_an_image(self, configured: Configured) -> None:
        registry = ContainerRegistry(address="registry.example.org", username="team", password=None)
        with pytest.raises(WebserviceException, match="lacks password"):
            configured(base_image="python:3.11", base_image_registry=registry)
        registry.password = "s3cret-value"
        with pytest.raises(WebserviceException, match="without base_image"):
            configured(base_image_registry=registry)
        config = configured(base_image="team/python:3.11", base_image_registry=registry)
        assert "s3cret-value" not in repr(config)

    def test_the_plan_holds_everything_that_was_given(
        self, workspace: Workspace, project: Path, configured: Configured, nowhere: None
    ) -> None:
        (project / "env.yml").write_text("dependencies: [python=3.11, {pip: [humanize]}]")
        (project / "steps").write_text("RUN echo more")
        (project / "schema.json").write_text("{}")
        (project / "data").mkdir()
        (project / "data" / "words.txt").write_text("one")
        (project / "weights.bin").write_text("heavy")
        registry = ContainerRegistry(address="https://registry.example.org", username="team", password="s3cret-value")
        config = configured(
            conda_file="env.yml",
            docker_file="steps",
            schema_file="schema.json",
            dependencies=["data"],
            base_image="team/python:3.11",
            base_image_registry=registry,
        )
        plan = config.plan(workspace, "myimage", ["weights.bin"])
        assert plan.base_image == "registry.example.org/team/python:3.11"
        assert plan.extra_steps == "RUN echo more"
        assert plan.packages.requirements == ("humanize",)
        assert {file.path for file in plan.files} == {"schema.json", "data"}
        assert [model.id for model in plan.models] == ["weights.bin:1"], "a model given by its path is registered"
        assert plan.code is not None
        assert plan.code.entry_script == "score.py"
        assert [credentials.username for credentials in plan.credentials] == ["team"]
        assert "s3cret-value" not in repr(plan) + str(plan.recipe)

    def test_spark_is_refused_when_the_image_is_made(self, workspace: Workspace, configured: Configured) -> None:
        with pytest.raises(WebserviceException, match="Spark is not available"):
            ContainerImage.create(workspace, "myimage", [], configured(runtime="spark-py"))


class TestVersions:
    @pytest.mark.alone
    def test_the_same_content_is_not_built_twice_and_takes_less_than_a_second(
        self, workspace: Workspace, built: ContainerImageConfig
    ) -> None:
        began = time.monotonic()
        first = ContainerImage.create(workspace=workspace, name="myimage", models=[], image_config=built)
        assert time.monotonic() - began < promised(1), "no engine answers: nothing but the registry of images was asked"
        second = Image.create(workspace, "myimage", [], built)
        assert (first.id, second.id) == ("myimage:1", "myimage:2")
        assert first.creation_state == "Succeeded"
        assert first.image_location == "mljupyter/earlier:1-abc"
        assert (first.description, first.tags) == ("words", {"area": "demo"})
        first.wait_for_creation(show_output=True)

    def test_an_image_is_found_by_name_version_id_and_filters(
        self, workspace: Workspace, built: ContainerImageConfig
    ) -> None:
        for _ in range(2):
            Image.create(workspace, "myimage", [], built)
        Image(workspace, "myimage", version=1).add_tags({"stage": "old"})
        assert Image(workspace, "myimage").version == 2
        assert Image(workspace, id="myimage:1").tags["stage"] == "old"
        assert Image(workspace, "myimage", tags=["stage"]).version == 1
        assert type(Image(workspace, "myimage")) is ContainerImage
        assert [image.id for image in Image.list(workspace, "myimage")] == ["myimage:2", "myimage:1"]
        assert [image.id for image in Image.list(workspace, tags=[["stage", "old"]])] == ["myimage:1"]
        assert {name: image.version for name, image in workspace.images.items()} == {"earlier": 1, "myimage": 2}
        for lookup in ({"name": "none"}, {"id": "myimage:9"}, {"name": "myimage", "tags": ["no"]}):
            with pytest.raises(WebserviceException, match="ImageNotFound"):
                Image(workspace, **lookup)

    def test_tags_change_and_properties_are_only_added(self, workspace: Workspace, built: ContainerImageConfig) -> None:
        image = Image.create(workspace, "myimage", [], built)
        image.add_tags({"stage": "test", "owner": "ana"})
        image.remove_tags(["area", "absent"])
        assert image.tags == {"stage": "test", "owner": "ana"}
        image.update({"only": "this"})
        image.add_properties({"run": "1"})
        with pytest.raises(WebserviceException, match="only added"):
            image.add_properties({"run": "2"})
        again = Image(workspace, id=image.id)
        assert (again.tags, again.properties) == ({"only": "this"}, {"run": "1"})
        document = again.serialize()
        assert Image.deserialize(workspace, document).tags == again.tags
        assert (document["id"], document["creationState"], document["imageType"]) == (
            "myimage:1",
            "Succeeded",
            "Docker",
        )

    def test_an_image_holds_its_models(
        self, workspace: Workspace, configured: Configured, project: Path, nowhere: None
    ) -> None:
        (project / "weights.bin").write_text("heavy")
        model = Model.register(workspace, "weights.bin", "weights")
        plan = configured().plan(workspace, "myimage", [model])
        images = workspace.registry.images
        record = images.begin("x", plan_digest=plan.digest, place="docker", recipe=plan.recipe)
        images.succeed(record.id, location="mljupyter/x:1-abc", digest="sha256:" + "a" * 64)
        image = Image.create(workspace, "myimage", [model], configured())
        assert [one.id for one in image.models] == list(image.model_ids) == ["weights:1"]
        assert [found.id for found in Image.list(workspace, model_name="weights")] == ["myimage:1"]
        with pytest.raises(WebserviceException, match="in use"):
            model.delete()
        image.delete()
        model.delete()

    def test_an_image_in_use_is_not_deleted(self, workspace: Workspace, built: ContainerImageConfig) -> None:
        image = Image.create(workspace, "myimage", [], built)
        workspace.registry.images.add_reference("pipeline nightly", [image.id])
        with pytest.raises(WebserviceException, match="in use by pipeline nightly"):
            image.delete()
        workspace.registry.images.release("pipeline nightly")
        image.delete()
        with pytest.raises(WebserviceException, match="ImageNotFound"):
            image.update_creation_state()

    def test_an_image_whose_engine_is_away_is_not_forgotten(
        self, workspace: Workspace, built: ContainerImageConfig
    ) -> None:
        image = Image.create(workspace, "myimage", [], built)
        earlier = Image(workspace, "earlier")
        image.delete()  # the other version has the same location: no engine is needed
        with pytest.raises(WebserviceException, match="mljupyter image delete earlier:1 --keep"):
            earlier.delete()
        assert [found.id for found in Image.list(workspace)] == ["earlier:1"]

    def test_a_reference_of_a_deleted_web_service_does_not_block_the_deletion_of_its_image(
        self, workspace: Workspace, built: ContainerImageConfig
    ) -> None:
        image = Image.create(workspace, "myimage", [], built)
        workspace.registry.images.add_reference("web service gone", [image.id])
        image.delete()

    @pytest.mark.parametrize("name", ["My", "ab", "a" * 33, "-ab", "abc-", "a_b"])
    def test_a_name_against_the_rule_is_refused(
        self, workspace: Workspace, built: ContainerImageConfig, name: str
    ) -> None:
        with pytest.raises(WebserviceException, match="Invalid image name"):
            Image.create(workspace, name, [], built)

    def test_names_of_the_documents_are_valid(self) -> None:
        for name in ("myimage", "my-image.v2", "0ab"):
            assert IMAGE.check(name) == name
        with pytest.raises(SpecError):
            IMAGE.check("image\n")


class TestRefused:
    def test_without_a_builder_no_image_is_registered(
        self, workspace: Workspace, configured: Configured, nowhere: None
    ) -> None:
        with pytest.raises(WebserviceException, match=r"(?s)does not answer.*DOCKER_HOST"):
            Image.create(workspace, "myimage", [], configured())
        assert Image.list(workspace) == []

    def test_something_else_as_configuration(self, workspace: Workspace) -> None:
        with pytest.raises(WebserviceException, match=r"must come from ContainerImage\.image_configuration"):
            Image.create(workspace, "myimage", [], object())  # type: ignore[arg-type]

    def test_an_image_on_a_target_of_processes(self, workspace: Workspace, built: ContainerImageConfig) -> None:
        image = Image.create(workspace, "myimage", [], built)
        with pytest.raises(AzureMLException, match="cannot serve an image: it runs processes"):
            Webservice.deploy_from_image(workspace, "words", image, deployment_target="local")
        assert workspace.controller.running() is None

    def test_an_image_that_failed(self, workspace: Workspace, configured: Configured, nowhere: None) -> None:
        plan = configured().plan(workspace, "myimage", [])
        images = workspace.registry.images
        record = images.begin("myimage", plan_digest=plan.digest, place="docker", recipe=plan.recipe)
        said = {"step": "environment", "reason": "exit 1", "lastLines": ["no such package"], "hint": "name another"}
        images.fail(record.id, said)
        image = Image(workspace, "myimage")
        with pytest.raises(WebserviceException, match=r"(?s)myimage:1 is Failed.*'environment'.*no such.*Hint: name"):
            image.wait_for_creation()
        assert "exit 1" in (image.creation_error or "")
        with pytest.raises(WebserviceException, match="is Failed"):
            Webservice.deploy_from_image(workspace, "words", image)


def test_an_images_id_does_not_call_for_new_replicas() -> None:
    version = VersionSpec(image="mljupyter/words:1-abc", image_id="words:1")
    assert revision(version) == revision(version.model_copy(update={"image_id": "words:2"}))
    assert revision(version) != revision(version.model_copy(update={"image": "mljupyter/words:2-def"}))


def test_the_log_of_a_build_is_a_private_file(workspace: Workspace, built: ContainerImageConfig) -> None:
    from mljupyter.build.images import BuildEvent
    from mljupyter.deploy.images.files import BuildLogFile

    image = Image.create(workspace, "myimage", [], built)
    log = BuildLogFile.of(workspace, image.record)
    log.begin()
    log.write(BuildEvent(0.0, "server", "running"))
    log.write(BuildEvent(0.0, "server", None, "ein Wört"))
    reader = log.follow()
    assert [next(reader) for _ in range(3)] == ["--- server", "ein Wört", ""]
    log.write(BuildEvent(1.0, "server", "succeeded", seconds=1.0))
    assert next(reader) == "--- server: succeeded after 1.0 s"
    log.close()
    assert log.path.stat().st_mode & 0o777 == 0o600
    assert image.image_build_log_uri == log.path.as_uri()
    image.delete()
    assert not log.path.exists()


def test_an_image_is_not_tried_on_the_engine_of_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    with pytest.raises(WebserviceException, match="on another machine"):
        smoke_test.run("mljupyter/any:1", b"{}")
