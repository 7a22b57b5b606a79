"""What holds for an artifact store at a URL: dead writers, damage, the grace of what is new."""

from __future__ import annotations

import os
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.registry import _registry

from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.errors import ArtifactError

from .processes import run_python


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.pkl"
    path.write_bytes(b"weights")
    return path


def paths(url: str) -> list[str]:
    fs, root = fsspec.url_to_fs(url)
    fs.invalidate_cache()
    return sorted(path.removeprefix(root) for path in fs.find(root))


def write(url: str, content: bytes) -> None:
    with fsspec.open(url, "wb") as file:
        file.write(content)


def test_a_put_leaves_its_blob_and_nothing_else(url: str, model: Path) -> None:
    digest = ArtifactStore(url).put(model).digest.removeprefix("sha256:")
    assert paths(url) == [f"/blobs/{digest[:2]}/{digest}"]


def test_damage_is_found_by_the_download(url: str, model: Path, tmp_path: Path) -> None:
    store = ArtifactStore(url)
    artifact = store.put(model)
    write(url + paths(url)[0], b"WEIGHTS")
    with pytest.raises(ArtifactError, match="damaged"):
        store.fetch(artifact.digest, tmp_path / "deep" / "t")
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_put_that_fails_leaves_nothing(url: str, model: Path, tmp_path: Path) -> None:
    def fail(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ArtifactStore(url).put(model, on_progress=fail)
    assert paths(url) == []


def test_leftovers_of_dead_writers_go_with_the_next_put_and_those_of_live_ones_stay(url: str, model: Path) -> None:
    dead = int(run_python("import os; print(os.getpid())"))
    now, host, unique = int(time.time()), socket.gethostname(), uuid.uuid4().hex
    old = now - 25 * 3600
    gone = [f"{now}_{host}_{dead}_{unique}", f"{old}_{host}_{os.getpid()}_{unique}", f"{old}_elsewhere_7_{unique}"]
    live = [f"{now}_{host}_{os.getpid()}_{unique}", f"{now}_elsewhere_{dead}_{unique}"]
    for name in gone + live:
        write(f"{url}/staging/{name}/blobs-0", b"half")
    ArtifactStore(url).put(model)
    assert [path for path in paths(url) if path.startswith("/staging")] == sorted(
        f"/staging/{name}/blobs-0" for name in live
    )


def test_writers_may_remove_the_same_leftovers_at_the_same_time(
    url: str, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs, _ = fsspec.url_to_fs(url)
    write(f"{url}/staging/{int(time.time()) - 25 * 3600}_elsewhere_7_{uuid.uuid4().hex}/blobs-0", b"half")
    remove, listed = type(fs).rm, type(fs).ls

    def twice(self: AbstractFileSystem, path: str, recursive: bool = False, maxdepth: int | None = None) -> None:
        for _ in range(2 if recursive else 1):
            remove(self, path, recursive=recursive, maxdepth=maxdepth)

    monkeypatch.setattr(type(fs), "rm", twice)
    ArtifactStore(url).put(model)
    assert not [path for path in paths(url) if path.startswith("/staging")]

    def just_emptied(self: AbstractFileSystem, path: str, detail: bool = True, **others: Any) -> Any:
        if path.endswith("/staging"):
            raise FileNotFoundError(path)
        return listed(self, path, detail=detail, **others)

    write(f"{url}/staging/anything/blobs-0", b"half")
    monkeypatch.setattr(type(fs), "ls", just_emptied)
    model.write_bytes(b"other weights")
    assert ArtifactStore(url).put(model).size == len(b"other weights")


def test_what_is_new_is_not_collected(url: str, model: Path) -> None:
    store = ArtifactStore(url, remote_grace=3600)
    digest = store.put(model).digest
    assert store.collect_garbage(set()) == 0
    assert store.exists(digest)
    assert ArtifactStore(url, remote_grace=0).collect_garbage(set()) == 1
    assert not store.exists(digest)


def test_content_that_is_there_is_uploaded_again_only_when_it_might_be_collected(url: str, model: Path) -> None:
    ArtifactStore(url).put(model)
    fs, _ = fsspec.url_to_fs(url)
    blob = url.removeprefix("memory:/") + paths(url)[0]
    first = fs.modified(blob)
    ArtifactStore(url).put(model)
    assert fs.modified(blob) == first
    ArtifactStore(url, remote_grace=0).put(model)
    assert fs.modified(blob) > first


@pytest.mark.parametrize(
    ("place", "package", "extra"),
    [("s3://b/p", "s3fs", "s3"), ("abfs://c/p", "adlfs", "azureblob"), ("gs://b/p", "gcsfs", "gcs")],
)
def test_a_missing_client_is_an_error_with_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch, place: str, package: str, extra: str
) -> None:
    registered = {"s3": "s3", "azureblob": "abfs", "gcs": "gs"}[extra]
    monkeypatch.delitem(_registry, registered, raising=False)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ArtifactError, match=rf"{package}(.|\n)*mljupyter\[{extra}\]"):
        ArtifactStore(place)
