from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.deploy.plan import size_warning
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.spec import EndpointKind, EndpointSpec, ModelReference, VersionSpec


def endpoint(kind: EndpointKind, *models: ModelReference) -> EndpointSpec:
    version = VersionSpec(image="scorer:1", models=list(models))
    return EndpointSpec(name="digits", kind=kind, default_version="digits", versions={"digits": version})


@pytest.fixture
def models(tmp_path: Path) -> tuple[ArtifactStore, list[ModelReference]]:
    """Two models of 600 bytes each, and the second one again under another name."""
    store, found = ArtifactStore(tmp_path / "artifacts"), []
    for name, content in (("one", b"1" * 600), ("two", b"2" * 600), ("again", b"2" * 600)):
        (tmp_path / name).write_bytes(content)
        found.append(ModelReference(name=name, version=1, digest=store.put(tmp_path / name).digest, entry=name))
    return store, found


def test_models_that_are_too_large_together_are_warned_of(models: tuple[ArtifactStore, list[ModelReference]]) -> None:
    store, (one, two, again) = models
    said = size_warning(endpoint(EndpointKind.ACI, one, two), store, most_bytes=1000) or ""
    assert said.startswith("Warning: the models of 'digits' take")
    assert "AksWebservice" in said
    assert size_warning(endpoint(EndpointKind.ACI, one), store, most_bytes=1000) is None
    assert size_warning(endpoint(EndpointKind.ACI, two, again), store, most_bytes=1000) is None, "stored once"


def test_nothing_is_said_below_one_gigabyte_or_of_other_kinds(
    models: tuple[ArtifactStore, list[ModelReference]],
) -> None:
    store, found = models
    assert size_warning(endpoint(EndpointKind.ACI, *found), store) is None
    assert size_warning(endpoint(EndpointKind.AKS, *found), store, most_bytes=1) is None
