"""What holds for every artifact store, in a directory and at a URL."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import uuid
from pathlib import Path

import fsspec
import pytest

from mljupyter.registry.artifacts import manifest
from mljupyter.registry.artifacts.store import ArtifactStore
from mljupyter.registry.errors import (
    ArtifactError,
    ArtifactNotFoundError,
    ArtifactPathNotFoundError,
    TargetExistsError,
)


@pytest.fixture(params=["directory", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    if request.param == "directory":
        return ArtifactStore(tmp_path / "artifacts")
    return ArtifactStore(f"memory://{uuid.uuid4().hex}", remote_grace=0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    return source


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def tree(root: Path) -> dict[str, bytes | None]:
    return {path.relative_to(root).as_posix(): None if path.is_dir() else path.read_bytes() for path in root.rglob("*")}


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (3 << 20) + 7])
def test_a_file_comes_back_under_its_digest(store: ArtifactStore, source: Path, tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (source / "model.pkl").write_bytes(content)
    artifact = store.put(source / "model.pkl")
    assert (artifact.digest, artifact.kind, artifact.size, artifact.name) == (
        digest_of(content),
        "file",
        size,
        "model.pkl",
    )
    assert store.exists(artifact.digest)
    assert store.size(artifact.digest) == size
    target = store.fetch(artifact.digest, tmp_path / "deep" / "below" / "copy.pkl", size=size)
    assert target.read_bytes() == content
    assert stat.S_IMODE(target.stat().st_mode) == 0o400
    assert [path.name for path in target.parent.iterdir()] == ["copy.pkl"]


def test_a_directory_comes_back_as_it_was(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    (source / "a" / "b").mkdir(parents=True)
    (source / "a" / "b" / "weights.bin").write_bytes(b"weights")
    (source / "a" / "same.bin").write_bytes(b"weights")
    (source / "run.sh").write_bytes(b"#!/bin/sh\n")
    (source / "run.sh").chmod(0o755)
    (source / "empty").mkdir()
    (source / "näme\n1").write_bytes(b"odd")
    (source / os.fsdecode(b"not-utf8-\xff")).write_bytes(b"odder")
    artifact = store.put(source)
    assert (artifact.kind, artifact.name, artifact.size) == ("directory", "source", 7 + 7 + 10 + 3 + 5)
    assert store.size(artifact.digest) == artifact.size
    target = store.fetch(artifact.digest, tmp_path / "target")
    assert tree(target) == tree(source)
    assert os.access(target / "run.sh", os.X_OK)
    assert not target.joinpath("a", "same.bin").stat().st_mode & 0o111


def test_a_directory_has_one_digest_whatever_the_order_and_the_place(
    store: ArtifactStore, source: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("b", "a", "c"):
        (source / name).write_text(name)
    for name in ("c", "a", "b"):
        (other / name).write_text(name)
    assert store.put(source).digest == store.put(other).digest
    (other / "c").chmod(0o700)
    assert store.put(source).digest != store.put(other).digest


def test_a_writable_copy_may_be_changed_without_changing_the_store(
    store: ArtifactStore, source: Path, tmp_path: Path
) -> None:
    (source / "model.pkl").write_bytes(b"original")
    artifact = store.put(source)
    copy = store.fetch(artifact.digest, tmp_path / "mine", writable=True) / "model.pkl"
    assert copy.stat().st_mode & stat.S_IWUSR
    copy.write_bytes(b"changed!")
    assert (store.fetch(artifact.digest, tmp_path / "again") / "model.pkl").read_bytes() == b"original"


def test_progress_ends_at_the_total(store: ArtifactStore, source: Path) -> None:
    (source / "a").write_bytes(b"x" * (3 << 20))
    (source / "b").write_bytes(b"y" * 10)
    seen: list[tuple[int, int]] = []
    store.put(source, on_progress=lambda done, total: seen.append((done, total)))
    total = (3 << 20) + 10
    assert seen[-1] == (total, total)
    assert len(seen) > 3
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_ignored_files_and_directories_are_left_out(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    (source / "cache").mkdir()
    (source / "cache" / "x").write_text("x")
    (source / "keep").write_text("k")
    (source / "drop.log").write_text("d")
    artifact = store.put(source, ignore=lambda path: path in ("cache/", "drop.log"))
    assert tree(store.fetch(artifact.digest, tmp_path / "t")) == {"keep": b"k"}


def test_only_the_named_files_are_stored(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    (source / "sub").mkdir()
    for name in ("a", "sub/b", "sub/c"):
        (source / name).write_text(name)
    artifact = store.put_files(source, ["sub/b", "a", "sub/b"])
    assert (artifact.kind, artifact.name) == ("directory", "source")
    assert tree(store.fetch(artifact.digest, tmp_path / "t")) == {"a": b"a", "sub": None, "sub/b": b"sub/b"}


@pytest.mark.parametrize("relative", ["../secret", "/etc/hosts", "sub/../../secret", "", ".", "a//b"])
def test_a_named_file_outside_of_its_base_is_refused(store: ArtifactStore, source: Path, relative: str) -> None:
    (source.parent / "secret").write_text("s")
    with pytest.raises(ArtifactError, match=r"Rule"):
        store.put_files(source, [relative])


def test_links_inside_are_followed(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    (source / "real").mkdir()
    (source / "real" / "file").write_text("f")
    (source / "link").symlink_to("real")
    (source / "file-link").symlink_to(source / "real" / "file")
    target = store.fetch(store.put(source).digest, tmp_path / "t")
    assert tree(target) == {
        "real": None,
        "real/file": b"f",
        "link": None,
        "link/file": b"f",
        "file-link": b"f",
    }
    assert not any(path.is_symlink() for path in target.rglob("*"))


@pytest.mark.parametrize(
    ("destination", "says"),
    [
        ("../outside", "outside of"),
        ("..", "outside of"),
        ("/etc", "outside of"),
        ("gone", "does not exist"),
        (".", "leads back"),
        ("link", "link"),
    ],
)
def test_links_that_lead_out_or_round_are_refused_by_name(
    store: ArtifactStore, source: Path, destination: str, says: str
) -> None:
    (source.parent / "outside").write_text("secret")
    (source / "link").symlink_to(destination)
    with pytest.raises(ArtifactError, match=says) as caught:
        store.put(source)
    assert str(source / "link") in str(caught.value)
    assert store.put(source, ignore=lambda path: path.rstrip("/") == "link").size == 0


def test_what_is_no_file_is_refused(store: ArtifactStore, source: Path) -> None:
    os.mkfifo(source / "pipe")
    with pytest.raises(ArtifactError, match="regular file"):
        store.put(source)
    with pytest.raises(ArtifactError, match="neither a file nor a directory"):
        store.put(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "s"))
        with pytest.raises(ArtifactError, match="neither a file nor a directory"):
            store.put(source / "s")


def test_a_missing_path_is_a_file_not_found_error(store: ArtifactStore, source: Path) -> None:
    for call in (lambda: store.put(source / "gone"), lambda: store.put_files(source, ["gone"])):
        with pytest.raises(ArtifactPathNotFoundError, match="gone does not exist") as caught:
            call()
        assert isinstance(caught.value, FileNotFoundError)


def test_an_existing_target_is_left_alone(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    (source / "a").write_text("new")
    (tmp_path / "target").write_text("old")
    for path in (source, source / "a"):
        with pytest.raises(TargetExistsError, match="already exists"):
            store.fetch(store.put(path).digest, tmp_path / "target")
    assert (tmp_path / "target").read_text() == "old"


def test_unknown_and_malformed_digests_are_refused(store: ArtifactStore, tmp_path: Path) -> None:
    unknown = "sha256:" + "0" * 64
    assert not store.exists(unknown)
    for call in (store.size, store.delete, lambda digest: store.fetch(digest, tmp_path / "t")):
        with pytest.raises(ArtifactNotFoundError):
            call(unknown)
    for malformed in ("sha256:../../../etc/passwd", "md5:00", "0" * 64, "sha256:" + "A" * 64, unknown + "\n"):
        for call in (store.exists, store.size, store.delete, lambda digest: store.fetch(digest, tmp_path / "t")):
            with pytest.raises(ArtifactError, match="is not a digest"):
                call(malformed)
    assert not (tmp_path / "t").exists()


def test_garbage_is_what_no_reference_needs(store: ArtifactStore, source: Path, tmp_path: Path) -> None:
    (source / "shared").write_text("shared")
    (source / "own").write_text("own")
    kept = store.put(source)
    (source / "own").write_text("of the other directory")
    dropped = store.put(source)
    (source / "lone").write_text("lone file")
    lone = store.put(source / "lone")
    assert store.collect_garbage({kept.digest}) == 3
    assert not store.exists(dropped.digest)
    assert not store.exists(lone.digest)
    assert tree(store.fetch(kept.digest, tmp_path / "t")) == {"shared": b"shared", "own": b"own"}
    assert store.collect_garbage(lambda: {kept.digest}) == 0


def test_a_deleted_artifact_is_gone(store: ArtifactStore, source: Path) -> None:
    (source / "a").write_text("a")
    for path in (source, source / "a"):
        digest = store.put(path).digest
        store.delete(digest)
        assert not store.exists(digest)


@pytest.mark.parametrize(
    "path", ["../evil", "/evil", "a/../../evil", "a//b", "", ".", "..", "a/", "a\0b", None, 7], ids=repr
)
def test_a_manifest_cannot_lead_out_of_the_target(
    store: ArtifactStore, source: Path, tmp_path: Path, path: object
) -> None:
    (source / "a").write_text("a")
    blob = store.put(source / "a").digest
    digest = store_manifest(store, [{"path": path, "digest": blob, "size": 1, "executable": False}])
    with pytest.raises(ArtifactError, match="leads out"):
        store.fetch(digest, tmp_path / "deep" / "target")
    assert not list((tmp_path / "deep").iterdir())
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"{}",
        b"[7]",
        b'[{"path": "a", "digest": "sha256:../x", "size": 1, "executable": false}]',
        b'[{"path": "a", "digest": null, "size": -1, "executable": false}]',
        b'[{"path": "a", "digest": null, "size": 0, "executable": 1}]',
        b'[{"path":"a","digest":null,"size":0,"executable":false},{"path":"a","digest":null,"size":0,"executable":false}]',
    ],
)
def test_a_manifest_out_of_form_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError, match="cannot be used"):
        manifest.decode(content, "sha256:0")


def store_manifest(store: ArtifactStore, items: list[object]) -> str:
    content = json.dumps(items).encode()
    hexadecimal = hashlib.sha256(content).hexdigest()
    path = f"{store.location}/directories/{hexadecimal[:2]}/{hexadecimal}"
    with fsspec.open(path, "wb", **({} if "://" in path else {"auto_mkdir": True})) as file:
        file.write(content)
    return f"sha256:{hexadecimal}"


def test_the_location_shows_no_credentials() -> None:
    store = ArtifactStore("memory://user:secret@bucket/team")
    assert store.location == "memory://bucket/team"
    assert "secret" not in repr(store)


@pytest.mark.parametrize("url", ["nosuchscheme://bucket", "abfs://user:secret@bucket/team"])
def test_a_url_whose_package_is_absent_is_explained(url: str) -> None:
    with pytest.raises(ArtifactError, match=r"cannot be used|not installed") as caught:
        ArtifactStore(url)
    assert "secret" not in str(caught.value)
