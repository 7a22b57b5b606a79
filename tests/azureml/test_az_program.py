"""The program az: it runs old command lines, and a real az always comes first."""

from __future__ import annotations

import os
import stat
import subprocess
import sysconfig
from pathlib import Path

import pytest

from mljupyter.azureml import az_program


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH of two directories, the second with this environment's programs."""
    for name in ("first", "programs"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}:{tmp_path / 'programs'}:/usr/bin:/bin")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "programs"))
    return tmp_path


def real(directory: Path) -> Path:
    program = directory / "az"
    program.write_text("#!/bin/sh\necho the real one: $*\n")
    program.chmod(0o755)
    return program


def answer(*words: str) -> str:
    done = subprocess.run(["/bin/sh", "-c", f"az {' '.join(words)}"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_it_runs_old_command_lines_until_it_is_disabled(places: Path) -> None:
    assert az_program.real_az() is None
    program = az_program.enable()
    assert program == places / "programs/az" == az_program.enabled()
    assert stat.S_IMODE(program.stat().st_mode) == 0o755
    assert "az login: nothing to do" in answer("login")
    assert az_program.enable() == program
    assert az_program.disable() == program
    assert az_program.disable() is None
    assert not program.exists()


def test_it_hands_over_to_a_real_az_that_comes_later(places: Path) -> None:
    az_program.enable()
    real(places / "first")
    assert answer("login", "-u", "x") == "the real one: login -u x\n"


@pytest.mark.parametrize("place", ["first", "programs"])
def test_it_is_refused_where_a_real_az_is(place: str, places: Path) -> None:
    program = real(places / place)
    with pytest.raises(az_program.ProgramError, match="There is an az already"):
        az_program.enable()
    assert az_program.disable() is None
    assert "the real one" in program.read_text()


def test_a_kernel_has_it_last_on_its_path(places: Path) -> None:
    before = os.environ["PATH"]
    az_program.add_to_path()
    az_program.add_to_path()
    assert os.environ["PATH"].startswith(before)
    assert "az login: nothing to do" in answer("login")
    real(places / "programs")
    assert answer("login") == "the real one: login\n"
    az_program.remove_from_path()
    assert os.environ["PATH"] == before
