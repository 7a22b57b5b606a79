"""How the models of a version reach replicas, as a deployment decides it before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.core import Model, Workspace
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.model_delivery import models_in_image
from mljupyter.deploy.prepare import ScriptSource, VersionRequest, prepare
from mljupyter.engine.model_delivery import MOST_MOUNTED_FILES
from mljupyter.exceptions import WebserviceException
from mljupyter.spec.version import ModelDelivery
from mljupyter.targets.base import Target
from tests.deploy.conftest import write_script


class Cluster(Target):
    """A target that mounts models."""

    name, type, mounts_models = "team", "Kubernetes", True


class Plugin(Target):
    """A target of a third party, which knows nothing of it."""

    name, type = "other", "Other"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLJUPYTER_CONTAINER_REGISTRY", "registry.example")


def prepared(
    workspace: Workspace, model: Model, asked: ModelDelivery | None, target: Target | None = None
) -> VersionContent:
    write_script("first")
    request = VersionRequest([model.id], ScriptSource(Path("score.py").absolute()), model_delivery=asked)
    with workspace.artifacts.hold():
        return prepare(workspace.context, request, service="sums", target=target or Cluster()).content


def of_many_files(workspace: Workspace, directory: Path) -> Model:
    directory.mkdir()
    for number in range(MOST_MOUNTED_FILES + 1):
        (directory / str(number)).write_text("x")
    return Model.register(workspace, str(directory), "tree")


@pytest.mark.usefixtures("registry")
def test_a_mounted_model_is_not_in_the_image(workspace: Workspace, model: Model) -> None:
    content = prepared(workspace, model, "mount")
    assert (content.model_delivery, models_in_image(content)) == ("mount", ())
    assert content.model_bytes == 2 * 4096, "one block for the file, one for its directory"
    assert [one.id for one in content.models] == [model.id]


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("asked", [None, "bake"])
def test_a_small_model_is_in_the_image(workspace: Workspace, model: Model, asked: ModelDelivery | None) -> None:
    content = prepared(workspace, model, asked)
    assert (content.model_delivery, content.model_bytes) == (asked, None)
    assert [one.id for one in models_in_image(content)] == [model.id]


def test_models_are_not_mounted_without_a_registry(workspace: Workspace, model: Model) -> None:
    with pytest.raises(WebserviceException, match=r"(?s)container registry, and it has none.*MLJUPYTER_CONTAINER_REG"):
        prepared(workspace, model, "mount")


@pytest.mark.usefixtures("registry")
def test_a_model_of_many_files_is_not_mounted(workspace: Workspace, tmp_path: Path) -> None:
    model = of_many_files(workspace, tmp_path / "tree")
    assert prepared(workspace, model, None).model_delivery is None
    with pytest.raises(WebserviceException, match=r"a model has 1,001 files\. Rule: at most 1,000"):
        prepared(workspace, model, "mount")


@pytest.mark.usefixtures("registry")
def test_a_target_that_mounts_no_models_refuses_to_unless_it_ignores_the_argument(
    workspace: Workspace, model: Model
) -> None:
    with pytest.raises(WebserviceException, match="compute target 'other' mounts no models"):
        prepared(workspace, model, "mount", Plugin())
    assert prepared(workspace, model, "mount", workspace.context.target("docker")).model_delivery is None
