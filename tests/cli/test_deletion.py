"""The deletion of several things by one command: all or none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mljupyter.cli.app import app
from mljupyter.cli.deletion import Deletion, carry_out
from mljupyter.core import Workspace
from mljupyter.errors import MLJupyterError
from mljupyter.exceptions import UserErrorException

Printed = pytest.CaptureFixture[str]


def things(gone: list[str], **users: list[str]) -> list[Deletion]:
    return [Deletion(name, lambda name=name: gone.append(name), used) for name, used in users.items()]  # type: ignore[misc]


def test_all_are_deleted_and_each_is_told(capsys: Printed) -> None:
    gone: list[str] = []
    carry_out(things(gone, one=[], two=[]) + things(gone, one=[]), key="name", dry_run=False, as_json=False)
    assert gone == ["one", "two"], "what is named twice is deleted once"
    assert capsys.readouterr().out == "one: deleted\ntwo: deleted\n"


def test_nothing_is_deleted_if_one_is_in_use() -> None:
    gone: list[str] = []
    with pytest.raises(UserErrorException, match=r"two is in use by image a:1, image b:1: it cannot(.|\n)*Nothing was"):
        carry_out(things(gone, one=[], two=["image a:1", "image b:1"]), key="id", dry_run=False, as_json=False)
    assert gone == []


def test_a_dry_run_says_what_would_be_deleted_and_what_is_in_use(capsys: Printed) -> None:
    gone: list[str] = []
    carry_out(things(gone, one=[], two=["image a:1"]), key="id", dry_run=True, as_json=False)
    assert capsys.readouterr().out == (
        "one: would be deleted (dry run, nothing done)\ntwo: stays: in use by image a:1 (dry run, nothing done)\n"
    )
    carry_out(things(gone, one=[], two=["image a:1"]), key="id", dry_run=True, as_json=True)
    first, second = json.loads(capsys.readouterr().out)
    assert first == {"id": "one", "deleted": False, "usedBy": []}
    assert second == {"id": "two", "deleted": False, "usedBy": ["image a:1"]}
    assert gone == []


def test_one_thing_is_one_document_as_in_azure(capsys: Printed) -> None:
    carry_out(things([], one=[]), key="name", dry_run=False, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"name": "one", "deleted": True}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("endpoint delete nowhere other", "no endpoint 'nowhere'"),
        ("service delete -n nowhere -n other", "no endpoint 'nowhere'"),
        ("image delete nothing:1 -i other:2", "ImageNotFound: no image is called 'other'"),
        ("image delete nothing:1 other:2", "ImageNotFound: no image is called 'nothing'"),
    ],
)
def test_several_names_are_taken_and_each_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path))
    monkeypatch.delenv("MLJUPYTER_WORKSPACE", raising=False)
    Workspace.create("default")
    with pytest.raises(MLJupyterError, match=said):
        app(line.split(), "mljupyter", standalone_mode=False)
