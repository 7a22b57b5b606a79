"""Backup of a whole workspace, and its restore."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from pathlib import Path

import pytest

from mljupyter.core import Workspace
from mljupyter.exceptions import WorkspaceException
from mljupyter.transfer.container import MANIFEST
from mljupyter.transfer.errors import ArchiveError, PassphraseError
from tests.registry.processes import finish, start_python


def models(workspace: Workspace) -> dict[str, str]:
    return {record.id: record.artifact.digest for record in workspace.registry.models.list()}


def test_a_restored_workspace_has_everything(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.directory / "scoring" / "a").mkdir(parents=True)
    (workspace.directory / "scoring" / "a" / "score.py").write_text("def run(data): return data\n")
    done = workspace.backup(tmp_path / "backup.zip")
    assert stat.S_IMODE(done.path.stat().st_mode) == 0o600
    restored = Workspace.restore(done.path, name="again")
    assert models(restored) == models(workspace)
    assert restored.get_default_keyvault().get_secret("db-password") == "very-secret-value"
    assert (restored.directory / "scoring" / "a" / "score.py").exists()
    assert all(restored.artifacts.exists(digest) for digest in models(restored).values())
    assert restored.name == "again"
    assert restored.get_details()["workspaceid"] != workspace.get_details()["workspaceid"]
    for path in restored.directory.rglob("*"):
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


def test_an_encrypted_backup_is_restored_only_with_its_passphrase(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.directory / "scoring" / "a").mkdir(parents=True)
    large = os.urandom(3 << 20)  # several frames
    (workspace.directory / "scoring" / "a" / "weights.bin").write_bytes(large)
    path = workspace.backup(tmp_path / "backup.sealed", passphrase="four words of fruit").path
    content = path.read_bytes()
    assert not [secret for secret in (b"very-secret-value", b"keyvault.json", large[:64]) if secret in content]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir() if "mljupyter-backup" in entry.name] == []
    for passphrase, told in (
        (None, "is encrypted: give its passphrase"),
        ("four words of wood", "passphrase is wrong"),
    ):
        with pytest.raises(PassphraseError, match=told):
            Workspace.restore(path, name="again", passphrase=passphrase)
    restored = Workspace.restore(path, name="again", passphrase="four words of fruit")
    assert models(restored) == models(workspace)
    assert restored.get_default_keyvault().get_secret("db-password") == "very-secret-value"
    assert (restored.directory / "scoring" / "a" / "weights.bin").read_bytes() == large
    with pytest.raises(PassphraseError, match="at least 10"):
        workspace.backup(tmp_path / "short.sealed", passphrase="short")
    assert not (tmp_path / "short.sealed").exists()


@pytest.mark.parametrize("harm", ["cut off", "frame left out", "bit changed"])
def test_an_encrypted_backup_that_is_damaged_restores_nothing(workspace: Workspace, tmp_path: Path, harm: str) -> None:
    (workspace.directory / "scoring").mkdir()
    (workspace.directory / "scoring" / "weights.bin").write_bytes(os.urandom(3 << 20))
    path = workspace.backup(tmp_path / "backup.sealed", passphrase="four words of fruit").path
    content = bytearray(path.read_bytes())
    frame = (1 << 20) + 16
    if harm == "cut off":
        del content[-100:]
    elif harm == "frame left out":
        del content[frame : 2 * frame]
    else:
        content[frame + 1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="damaged"):
        Workspace.restore(path, name="again", passphrase="four words of fruit")
    assert "again" not in Workspace.list()


def test_a_backup_is_consistent_while_the_workspace_is_used(workspace: Workspace, tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from mljupyter.core import Workspace
        workspace = Workspace.at(Path(sys.argv[1]))
        print("ready", flush=True)
        for number in range(40):
            path = Path(sys.argv[2]) / f"m{number}.pkl"
            path.write_bytes(str(number).encode())
            workspace.registry.models.register("many", path)
    """
    writer = start_python(code, workspace.directory, tmp_path)
    assert writer.stdout is not None
    assert writer.stdout.readline().strip() == "ready"
    backups = [workspace.backup(tmp_path / f"backup{number}.zip").path for number in range(3)]
    finish(writer)
    for number, path in enumerate(backups):
        restored = Workspace.restore(path, name=f"again-{number}")  # checks that all content is there
        versions = sorted(record.version for record in restored.registry.models.list("many"))
        assert versions == list(range(1, len(versions) + 1))


def test_a_workspace_is_replaced_only_on_request_and_at_once(workspace: Workspace, tmp_path: Path) -> None:
    path = workspace.backup(tmp_path / "backup.zip").path
    workspace.registry.models.delete("ridge:2")
    workspace.context.close()
    with pytest.raises(WorkspaceException, match="exists already"):
        Workspace.restore(path)
    restored = Workspace.restore(path, replace=True)
    assert restored.directory == workspace.directory
    assert "ridge:2" in models(restored)
    assert [entry.name for entry in restored.directory.parent.iterdir()] == ["source"]


def test_a_backup_is_not_written_into_the_workspace(workspace: Workspace) -> None:
    with pytest.raises(ArchiveError, match="workspace itself"):
        workspace.backup(workspace.directory / "backup.zip")


@pytest.mark.parametrize("name", ["files/../../evil", "/files/evil", "files/a\\b", "files/./a", "other/file"])
def test_a_backup_that_leads_out_is_refused(workspace: Workspace, tmp_path: Path, name: str) -> None:
    path = workspace.backup(tmp_path / "backup.zip").path
    with zipfile.ZipFile(path) as old:
        entries = {info.filename: old.read(info) for info in old.infolist()}
    manifest = json.loads(entries.pop(MANIFEST))
    manifest["entries"][name] = {
        "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "size": 0,
    }
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as new:
        for entry, content in {**entries, name: b"", MANIFEST: json.dumps(manifest).encode()}.items():
            info = zipfile.ZipInfo("x")
            info.filename = entry
            new.writestr(info, content)
    before = sorted(path.name for path in workspace.directory.parent.iterdir())
    with pytest.raises(ArchiveError, match="refused"):
        Workspace.restore(tmp_path / "evil.zip", name="again")
    assert sorted(path.name for path in workspace.directory.parent.iterdir()) == before
    assert not (tmp_path / "evil").exists()


def test_a_damaged_backup_leaves_everything_as_it_was(workspace: Workspace, tmp_path: Path) -> None:
    path = workspace.backup(tmp_path / "backup.zip").path
    content = bytearray(path.read_bytes())
    place = bytes(content).find(b"a" * 1000)
    content[place + 10 : place + 20] = b"b" * 10
    path.write_bytes(content)
    before = models(workspace)
    with pytest.raises(ArchiveError, match="damaged"):
        Workspace.restore(path, replace=True)
    assert models(Workspace.get("source")) == before
    assert [entry.name for entry in workspace.directory.parent.iterdir()] == ["source"]
