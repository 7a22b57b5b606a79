"""``mljupyter workspace export | import | backup | restore | migrate | history`` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mljupyter.cli.app import app
from mljupyter.core import Workspace
from mljupyter.transfer.errors import ImportConflictError


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    made = Workspace.create("source")
    (tmp_path / "model.pkl").write_bytes(b"weights")
    made.registry.models.register("ridge", tmp_path / "model.pkl")
    return made


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["workspace", *map(str, arguments)], catch_exceptions=False)


def test_an_exported_model_is_imported_and_conflicts_name_the_option(workspace: Workspace, tmp_path: Path) -> None:
    done = run("export", tmp_path / "a.zip", "--workspace", "source")
    assert done.exit_code == 0
    assert "models: ridge:1" in done.stdout
    assert "Secrets were left out" in done.stdout
    target = Workspace.create("target")
    assert "models added: ridge:1" in run("import", tmp_path / "a.zip", "--workspace", "target").stdout
    assert "models there already: ridge:1" in run("import", tmp_path / "a.zip", "--workspace", "target").stdout
    target.registry.models.delete("ridge:1")
    with pytest.raises(ImportConflictError, match="--renumber"):
        run("import", tmp_path / "a.zip", "--workspace", "target")
    assert "ridge:1 is ridge:2 here" in run("import", tmp_path / "a.zip", "--workspace", "target", "--renumber").stdout


def test_secrets_need_a_passphrase(workspace: Workspace, tmp_path: Path) -> None:
    assert "--passphrase-file" in run("export", tmp_path / "a.zip", "--workspace", "source", "--with-secrets").stderr
    (tmp_path / "passphrase").write_text("four words of fruit\n")
    options = ("--workspace", "source", "--with-secrets", "--passphrase-file", tmp_path / "passphrase")
    assert "encrypted" in run("export", tmp_path / "a.zip", *options).stdout


def test_a_backup_is_restored_under_another_name(workspace: Workspace, tmp_path: Path) -> None:
    assert "To restore it" in run("backup", tmp_path / "b.zip", "--workspace", "source").stdout
    done = run("restore", tmp_path / "b.zip", "--name", "again", "--json")
    assert json.loads(done.stdout)["name"] == "again"
    assert Workspace.get("again").registry.models.get("ridge").version == 1


def test_an_encrypted_backup_takes_its_passphrase_from_a_file_or_the_environment(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "--passphrase-file" in run("backup", tmp_path / "b.sealed", "--workspace", "source", "--encrypt").stderr
    (tmp_path / "passphrase").write_text("four words of fruit\n")
    option = ("--passphrase-file", tmp_path / "passphrase")
    assert "It is encrypted." in run("backup", tmp_path / "b.sealed", "--workspace", "source", *option).stdout
    assert "--passphrase-file" in run("restore", tmp_path / "b.sealed", "--name", "again").stderr
    monkeypatch.setenv("MLJUPYTER_PASSPHRASE", "four words of fruit")
    assert run("restore", tmp_path / "b.sealed", "--name", "again").exit_code == 0
    assert Workspace.get("again").registry.models.get("ridge").version == 1


def test_the_history_says_who_changed_what(workspace: Workspace) -> None:
    workspace.registry.models.update("ridge:1", add_tags={"area": "demo"})
    workspace.registry.models.delete("ridge:1")
    rows = json.loads(run("history", "--workspace", "source", "--item", "ridge", "--json").stdout)
    assert [(row["action"], row["item"]) for row in rows] == [
        ("registered", "ridge:1"),
        ("changed", "ridge:1"),
        ("deleted", "ridge:1"),
    ]
    assert rows[1]["details"] == ["tags.area: none -> demo"]
    assert all(row["user"] for row in rows)
    assert "tags.area: none -> demo" in run("history", "--workspace", "source").stdout
