"""The artifact store at the URLs of S3, Azure Blob Storage and Google Cloud Storage, over HTTP."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.errors import ArtifactError, ArtifactNotFoundError
from tests.object_stores import ObjectStore, azure_server, google_server, in_use, s3_server

SERVERS = {"s3": s3_server, "azureblob": azure_server, "gcs": google_server}


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as running, in_use(running):
        yield running


@pytest.fixture
def url(server: ObjectStore) -> str:
    return f"{server.url}/{uuid.uuid4().hex}"


def test_files_and_directories_come_back_as_they_were_stored(url: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "weights.bin").write_bytes(os.urandom(3_000_000))
    (source / "run.sh").write_text("#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "empty").write_bytes(b"")
    store = ArtifactStore(url)
    artifact = store.put(source)
    assert store.put(source) == artifact
    assert store.exists(artifact.digest)
    target = store.fetch(artifact.digest, tmp_path / "target")
    for name in ("deep/weights.bin", "run.sh", "empty"):
        assert (target / name).read_bytes() == (source / name).read_bytes()
    assert os.access(target / "run.sh", os.X_OK)
    parts = store.parts(artifact.digest)
    assert sorted(parts, key=lambda part: part.hexadecimal) == sorted(
        store.all_parts(), key=lambda part: part.hexadecimal
    )


def test_garbage_goes_once_it_is_old_and_what_is_referenced_stays(url: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    store = ArtifactStore(url)
    kept, gone = store.put(tmp_path / "a").digest, store.put(tmp_path / "b").digest
    assert store.collect_garbage({kept}) == 0
    old = ArtifactStore(url, remote_grace=0)
    assert old.collect_garbage({kept}) == 1
    assert old.exists(kept)
    with pytest.raises(ArtifactNotFoundError):
        old.fetch(gone, tmp_path / "c")


def test_a_store_belongs_to_one_database(url: str) -> None:
    ArtifactStore(url).claim("one")
    ArtifactStore(url).claim("one")
    with pytest.raises(ArtifactError, match="belongs to another database"):
        ArtifactStore(url).claim("two")


def test_a_bucket_that_does_not_exist_is_an_error_with_the_url(server: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    nowhere = server.url.replace("team", "nowhere")
    with pytest.raises(ArtifactError, match="nowhere"):
        ArtifactStore(nowhere).put(tmp_path / "a")
