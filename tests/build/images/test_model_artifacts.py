"""Models as artifacts in a container registry, which a pod fetches again."""

from __future__ import annotations

import json
import secrets
import threading
from pathlib import Path

import pytest

from mljupyter.build.images.errors import BuildCancelledError, RegistryCredentialsError
from mljupyter.build.images.events import BuildEvent
from mljupyter.build.images.oci.model_artifacts import push_models
from mljupyter.build.images.registry.credentials import RegistryCredentials
from mljupyter.engine.model_delivery import MODEL_REPOSITORY
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.scoring.fetch.download import Download
from mljupyter.scoring.fetch.models import wanted_models
from mljupyter.scoring.fetch.registry import Registry
from mljupyter.spec import ModelReference


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def model(store: ArtifactStore, path: Path, name: str = "churn", version: int = 1) -> ModelReference:
    return ModelReference(name=name, version=version, digest=store.put(path).digest, entry=path.name)


def fetched(host: str, models: list[ModelReference], directory: Path, login: tuple[str, str] | None = None) -> Path:
    """Fetch models as the init container of a pod does."""
    document = {"registry": host, "repository": MODEL_REPOSITORY, "models": [one.document() for one in models]}
    _, repository, wanted = wanted_models(json.dumps(document))
    Download(Registry(host, repository, login), directory, print).fetch(wanted)
    return directory


@pytest.mark.system
def test_a_model_is_pushed_once_whatever_it_is_called_and_is_fetched_as_it_was(
    store: ArtifactStore, registry_host: str, tmp_path: Path
) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(secrets.token_bytes(3_000_000))
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "empty").mkdir()
    (tree / "sub/weights").write_bytes(secrets.token_bytes(1000))
    (tree / "none").touch()
    (tree / "run.sh").write_text(f"#!/bin/sh\n# {secrets.token_hex()}\n")
    (tree / "run.sh").chmod(0o755)
    models = [model(store, file), model(store, tree, "tree", 4)]
    size = 3_001_000 + len((tree / "run.sh").read_bytes())
    assert push_models(registry_host, models, store) == size
    assert push_models(registry_host, models, store) == 0
    assert push_models(registry_host, [model(store, file, "other", 7)], store) == 0

    there = fetched(registry_host, models, tmp_path / "fetched")
    assert (there / "churn/1/model.bin").read_bytes() == file.read_bytes()
    copy = there / "tree/4/tree"
    assert store.put(copy).digest == models[1].digest, "the same files, modes and empty directories"


@pytest.mark.system
def test_a_registry_with_a_login_gets_models_from_its_user_alone(
    store: ArtifactStore, private_host: str, edge: RegistryCredentials, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_bytes(secrets.token_bytes(100))
    one = model(store, tmp_path / "model.bin")
    events: list[BuildEvent] = []
    with pytest.raises(RegistryCredentialsError, match="docker login"):
        push_models(private_host, [one], store, on_event=events.append)
    assert [event.state for event in events if event.state] == ["running", "failed"]
    assert push_models(private_host, [one], store, credentials=(edge,)) == 100
    fetched(private_host, [one], tmp_path / "fetched", ("edge", "edge-secret"))


@pytest.mark.system
def test_an_upload_can_be_cancelled_and_leaves_no_artifact(
    store: ArtifactStore, registry_host: str, tmp_path: Path
) -> None:
    (tmp_path / "model.bin").write_bytes(secrets.token_bytes(3_000_000))
    one = model(store, tmp_path / "model.bin")
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(BuildCancelledError):
        push_models(registry_host, [one], store, cancel=cancel)
    assert push_models(registry_host, [one], store) == 3_000_000
