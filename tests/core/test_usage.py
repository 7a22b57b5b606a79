"""Which models web services use, whoever changes them at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.core import Model, Workspace
from mljupyter.deploy.references import in_use, registered, release
from mljupyter.spec import EndpointSpec, ModelReference, VersionSpec

# One of the two is later than the other by more in each turn, so that their steps meet in every way.
TURNS, LATER = 40, 0.0005


@pytest.fixture
def shared(workspace: Workspace, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace whose endpoints never start anything: their engine is nowhere."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    yield workspace
    for record in workspace.endpoint_records():
        workspace.endpoints.delete(record.spec.name)
    workspace.controller.stop(force=True)


def endpoint(*models: ModelReference) -> EndpointSpec:
    version = VersionSpec(image="nothing:1", models=list(models))
    return EndpointSpec(name="shared", compute_target="docker", default_version="shared", versions={"shared": version})


def test_a_model_is_held_while_a_service_uses_it_whoever_else_changes_the_service(
    shared: Workspace, project: Path
) -> None:
    (project / "model.txt").write_text("1")
    model = Model.register(shared, model_name="m", model_path="model.txt").reference
    shared.endpoints.create(endpoint())
    barrier = threading.Barrier(3)

    def change(mine: Workspace, *models: ModelReference) -> None:
        wanted = endpoint(*models)
        for turn in range(TURNS):
            barrier.wait()
            time.sleep(len(models) * turn * LATER)
            with in_use(mine.context, "shared", wanted):
                mine.endpoints.replace(wanted)
            barrier.wait()

    threads = [
        threading.Thread(target=change, args=(Workspace.at(shared.directory), *models)) for models in ((), (model,))
    ]
    for thread in threads:
        thread.start()
    wrong = []
    for _ in range(TURNS):
        barrier.wait()  # both change it
        barrier.wait()  # both have
        used = registered(shared.endpoints.endpoint("shared").spec)
        held = {model.id} if shared.registry.models.references(model.id) else set()
        wrong += [(used, held)] if used != held else []
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_late_release_of_a_deleted_service_keeps_references_of_its_successor(
    shared: Workspace, project: Path
) -> None:
    (project / "model.txt").write_text("1")
    model = Model.register(shared, model_name="m", model_path="model.txt").reference
    with in_use(shared.context, "shared", endpoint(model)):
        shared.endpoints.create(endpoint(model))
    release(shared.context, "shared")  # what whoever deleted the one before does only now
    assert shared.registry.models.references(model.id) == ["web service shared"]
