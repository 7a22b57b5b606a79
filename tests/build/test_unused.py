"""Environments that nobody uses are removed, also when two people collect garbage at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mljupyter.build.environments.record import RECORD
from mljupyter.build.environments.unused import UnusedEnvironment, remove_environment, unused_environments


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("old", "older"):
        directory = tmp_path / "environments" / name
        directory.mkdir(parents=True)
        (directory / RECORD).write_text("{}")
        os.utime(directory / RECORD, (1000, 1000))
    return tmp_path / "environments"


def found(root: Path) -> list[UnusedEnvironment]:
    return unused_environments(root, unused_seconds=3600, in_use=())


def test_an_environment_that_another_one_has_removed_meanwhile_is_not_removed_again(root: Path) -> None:
    first, second = found(root), found(root)
    assert [remove_environment(one) for one in first] == [True, True]
    assert [remove_environment(one) for one in second] == [False, False]
    assert found(root) == []


def test_an_environment_that_goes_while_they_are_listed_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Path.is_symlink

    def last_look(self: Path) -> bool:
        answer = look(self)
        if self.name == "old":
            (self / RECORD).unlink()
            self.rmdir()
        return answer

    monkeypatch.setattr(Path, "is_symlink", last_look)
    assert [one.directory.name for one in found(root)] == ["older"]


def test_an_environment_that_was_requested_since_it_was_found_stays(root: Path) -> None:
    old, older = found(root)
    os.utime(root / "old" / RECORD)
    assert not remove_environment(old)
    assert remove_environment(older)
    assert (root / "old" / RECORD).is_file()
