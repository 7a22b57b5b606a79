"""Export and import, and archives that are damaged or made to do harm."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mljupyter.core import Workspace
from mljupyter.registry.errors import StorageFullError
from mljupyter.transfer.container import MANIFEST
from mljupyter.transfer.errors import ArchiveError, ImportConflictError, PassphraseError, TransferCancelledError
from tests.registry.processes import on_small_disk, run_python

PASSPHRASE = "four words of fruit"


@pytest.fixture
def archive(workspace: Workspace, tmp_path: Path) -> Path:
    path = tmp_path / "all.zip"
    workspace.export_archive(path)
    return path


def models(workspace: Workspace) -> dict[str, str]:
    return {record.id: record.artifact.digest for record in workspace.registry.models.list()}


def test_everything_arrives_under_its_names_and_versions(
    workspace: Workspace, empty: Workspace, archive: Path, tmp_path: Path
) -> None:
    done = empty.import_archive(archive)
    assert done.added["model"] == ["net:1", "ridge:1", "ridge:2"]
    assert models(empty) == models(workspace)
    target = empty.artifacts.fetch(empty.registry.models.get("net").artifact.digest, tmp_path / "fetched")
    assert (target / "a.bin").read_bytes() == b"a" * 100_000
    assert empty.registry.models.get("ridge", 1).tags == {"area": "demo"}
    assert empty.registry.environments.get("serving", label="stable").definition == {"python": "3.11"}
    assert empty.context.tracking.datastores.files("workspaceblobstore").list() == ["data/data.csv"]
    assert empty.context.tracking.datasets.get("numbers").version == 1
    assert {change.action for change in empty.history(kind="model")} == {"imported"}
    (tmp_path / "model.pkl").write_bytes(b"next")
    assert empty.registry.models.register("ridge", tmp_path / "model.pkl").version == 3


def test_a_second_import_changes_nothing(empty: Workspace, archive: Path) -> None:
    empty.import_archive(archive)
    done = empty.import_archive(archive)
    assert not any(done.added.values())
    assert done.kept["model"] == ["net:1", "ridge:1", "ridge:2"]


def test_only_chosen_items_are_exported(workspace: Workspace, empty: Workspace, tmp_path: Path) -> None:
    done = workspace.export_archive(tmp_path / "one.zip", models=["ridge:2"])
    assert (done.models, done.environments, done.datasets) == (("ridge:2",), (), ())
    assert empty.import_archive(tmp_path / "one.zip").added["model"] == ["ridge:2"]
    with pytest.raises(ArchiveError, match="Did you mean 'ridge'"):
        workspace.export_archive(tmp_path / "two.zip", models=["rigde"])
    assert not (tmp_path / "two.zip").exists()


def test_numbers_of_other_items_are_conflicts_and_nothing_is_imported(
    empty: Workspace, archive: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.pkl").write_bytes(b"other")
    empty.registry.models.register("ridge", tmp_path / "other.pkl")
    before = models(empty)
    with pytest.raises(ImportConflictError, match="ridge:1"):
        empty.import_archive(archive)
    assert models(empty) == before
    done = empty.import_archive(archive, renumber=True)
    assert done.renumbered == {"model": {"ridge:1": "ridge:3"}}
    assert sorted(models(empty)) == ["net:1", "ridge:1", "ridge:2", "ridge:3"]


def test_secrets_are_left_out_unless_a_passphrase_is_given(
    workspace: Workspace, empty: Workspace, archive: Path, tmp_path: Path
) -> None:
    content = archive.read_bytes()
    assert b"very-secret-value" not in content
    assert b"registry-password" not in content
    with pytest.raises(PassphraseError, match="at least 10"):
        workspace.export_archive(tmp_path / "short.zip", passphrase="short")
    workspace.export_archive(tmp_path / "secret.zip", passphrase=PASSPHRASE)
    content = (tmp_path / "secret.zip").read_bytes()
    assert b"very-secret-value" not in content
    assert b"registry-password" not in content
    with pytest.raises(PassphraseError, match="passphrase is wrong"):
        empty.import_archive(tmp_path / "secret.zip", passphrase="another one of them")
    assert models(empty) == {}
    empty.import_archive(tmp_path / "secret.zip", passphrase=PASSPHRASE)
    assert empty.get_default_keyvault().get_secret("db-password") == "very-secret-value"
    assert empty.registry.environments.get("serving").password == "registry-password"


def test_only_the_owner_can_read_an_archive_and_a_file_is_not_replaced(workspace: Workspace, archive: Path) -> None:
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    with pytest.raises(ArchiveError, match="exists already"):
        workspace.export_archive(archive)
    workspace.export_archive(archive, overwrite=True)


def test_a_cancelled_export_and_import_leave_nothing(
    workspace: Workspace, empty: Workspace, archive: Path, tmp_path: Path
) -> None:
    cancel = Event()

    def stop(progress: Any) -> None:
        if progress.done:
            cancel.set()

    with pytest.raises(TransferCancelledError):
        workspace.export_archive(tmp_path / "half.zip", on_progress=stop, cancel=cancel)
    assert [path.name for path in tmp_path.glob("*half*")] == []
    cancel.clear()
    with pytest.raises(TransferCancelledError):
        empty.import_archive(archive, on_progress=stop, cancel=cancel)
    assert models(empty) == {}
    assert empty.artifacts.all_parts() == []


def test_a_full_disk_is_an_error_and_leaves_no_file(workspace: Workspace, tmp_path: Path) -> None:
    disk = tmp_path / "small"
    disk.mkdir()
    code = """
        import sys
        from pathlib import Path
        from mljupyter.core import Workspace
        from mljupyter.registry.errors import StorageFullError
        try:
            Workspace.at(Path(sys.argv[1])).export_archive(sys.argv[2] + "/all.zip")
        except StorageFullError as error:
            print(error.message, list(Path(sys.argv[2]).iterdir()))
    """
    output = run_python(code, workspace.directory, disk, prefix=on_small_disk(disk, "64k"))
    assert "No space left" in output
    assert output.strip().endswith("[]")


def rewritten(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """Write an archive again after a change of its manifest and entries."""
    with zipfile.ZipFile(path) as old:
        entries = {info.filename: old.read(info) for info in old.infolist()}
    manifest = json.loads(entries.pop(MANIFEST))
    change(manifest, entries)
    target = path.with_name("changed.zip")
    with zipfile.ZipFile(target, "w") as new:
        for name, content in entries.items():
            new.writestr(name, content)
        new.writestr(MANIFEST, json.dumps(manifest))
    return target


def _flip(manifest: dict[str, Any], entries: dict[str, bytes]) -> None:
    name = next(name for name in entries if name.startswith("content/blobs/"))
    entries[name] = bytes(len(entries[name]))


def _climb(manifest: dict[str, Any], entries: dict[str, bytes]) -> None:
    entries["content/../../evil"] = b""


def _lose(manifest: dict[str, Any], entries: dict[str, bytes]) -> None:
    name = next(name for name in entries if name.startswith("content/blobs/"))
    del entries[name], manifest["entries"][name]


def _path_as_name(manifest: dict[str, Any], entries: dict[str, bytes]) -> None:
    manifest["models"][0]["artifact_name"] = "../../evil"


def _id(manifest: dict[str, Any], entries: dict[str, bytes]) -> None:
    manifest["models"][0]["id"] = "../evil:1"


def _column(manifest: dict[str, Any], entries: dict[str, bytes]) -> None:
    manifest["models"][0]["admin"] = True


def _newer(manifest: dict[str, Any], entries: dict[str, bytes]) -> None:
    manifest["version"] = 99


def _wrong_kind(manifest: dict[str, Any], entries: dict[str, bytes]) -> None:
    manifest["kind"] = "backup"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_flip, "damaged|does not have|digest"),
        (_climb, "leads out"),
        (_lose, "lacks the content"),
        (_path_as_name, "cannot be used"),
        (_id, "cannot be used"),
        (_column, "no column 'admin'"),
        (_newer, "newer release"),
        (_wrong_kind, "workspace restore"),
    ],
)
def test_a_changed_archive_is_refused_and_nothing_is_imported(
    empty: Workspace, archive: Path, change: Any, reason: str
) -> None:
    with pytest.raises(Exception, match=reason) as caught:
        empty.import_archive(rewritten(archive, change))
    assert type(caught.value).__name__ in ("ArchiveError", "ArtifactError")
    assert models(empty) == {}


@pytest.mark.parametrize("part", [0.2, 0.9, 0.999])
def test_a_cut_off_archive_is_refused(empty: Workspace, archive: Path, part: float) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ArchiveError, match="cut off"):
        empty.import_archive(archive)


def test_compressed_entries_are_refused_because_they_could_grow(empty: Workspace, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("content/blobs/" + "0" * 64, bytes(50_000_000))
        bomb.writestr(MANIFEST, "{}")
    with pytest.raises(ArchiveError, match="compressed"):
        empty.import_archive(tmp_path / "bomb.zip")


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"PK\x03\x04"])
def test_another_file_is_no_archive(empty: Workspace, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    with pytest.raises(ArchiveError, match="no archive of mljupyter"):
        empty.import_archive(tmp_path / "other")
    with pytest.raises(ArchiveError, match="There is no archive"):
        empty.import_archive(tmp_path / "missing")


def test_an_import_that_does_not_fit_is_refused_before_it_begins(
    empty: Workspace, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(StorageFullError, match="No space left"):
        empty.import_archive(archive)
