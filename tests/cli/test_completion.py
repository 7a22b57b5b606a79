"""Completion in bash, zsh and fish: the scripts, and what they complete."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mljupyter.cli.app import app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.mark.parametrize(
    ("shell", "file"),
    [
        ("bash", "data/bash-completion/completions/mljupyter"),
        ("zsh", "data/zsh/site-functions/_mljupyter"),
        ("fish", "config/fish/completions/mljupyter.fish"),
    ],
)
def test_the_script_is_written_where_the_shell_looks_and_removed_again(shell: str, file: str, home: Path) -> None:
    installed = CliRunner().invoke(app, ["completion", "install", "--shell", shell])
    assert installed.exit_code == 0, installed.output
    assert str(home / file) in installed.output
    assert "_MLJUPYTER_COMPLETE" in (home / file).read_text()
    assert (home / file).read_text() == CliRunner().invoke(app, ["completion", "show", "--shell", shell]).output
    assert "Removed" in CliRunner().invoke(app, ["completion", "uninstall", "--shell", shell]).output
    assert not (home / file).exists()


def test_another_shell_is_told_which_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/dash")
    result = CliRunner().invoke(app, ["completion", "install"])
    assert result.exit_code == 2
    assert "completion is for bash, zsh, fish" in result.output


def test_commands_and_options_are_completed() -> None:
    environment = {**os.environ, "_MLJUPYTER_COMPLETE": "bash_complete"}

    def completed(line: str) -> list[str]:
        words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        code = "import sys; sys.argv = ['mljupyter']; from mljupyter.cli import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code], env={**environment, **words}, capture_output=True, text=True, check=False
        )
        return [each.partition(",")[2] for each in done.stdout.split()]

    assert completed("mljupyter mod") == ["model"]
    assert {"--compute-target", "--compute-type"} <= set(completed("mljupyter model deploy --comp"))
