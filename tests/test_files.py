"""Files that appear whole."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mljupyter.exceptions import WorkspaceException
from mljupyter.files import draft_of, expanded, in_home, write_whole
from mljupyter.workspace.index import home
from tests.waiting import switching_often


def test_a_file_is_its_owners_alone_unless_it_is_to_be_shared(tmp_path: Path) -> None:
    write_whole(tmp_path / "secret", "ä", durable=True)
    write_whole(tmp_path / "shared", "ä", mode=0o644)
    assert (tmp_path / "secret").read_text(encoding="utf-8") == "ä"
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) & 0o444 != 0o400


def test_an_error_keeps_the_file_that_was_there_and_leaves_no_draft(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "old")
    with pytest.raises(KeyError), draft_of(tmp_path / "file") as draft:
        draft.write_text("half")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_threads_that_write_one_file_at_once_leave_one_of_their_texts_whole(tmp_path: Path) -> None:
    with switching_often(), ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: write_whole(tmp_path / "file", str(n % 10) * 1000), range(400)))
    text = (tmp_path / "file").read_text()
    assert len(text) == 1000 and len(set(text)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_whose_name_begins_with_a_tilde_is_no_home_directory() -> None:
    assert expanded("~nobody-has-this-name.pkl") == Path("~nobody-has-this-name.pkl")


def test_without_a_home_directory_the_directories_of_other_programs_do_not_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert (in_home(None, ".cache"), in_home("~/other", ".cache")) == (
        Path("/home/ada/.cache"),
        Path("/home/ada/other"),
    )

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    assert not in_home(None, ".cache").exists()
    with pytest.raises(OSError, match="Not a directory"):
        in_home(None, ".cache").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLJUPYTER_HOME", raising=False)
        with pytest.raises(WorkspaceException, match="HOME is not set"):
            home()


def test_a_pipe_or_a_device_is_written_to_and_stays_what_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "text")
        assert os.read(reader, 100) == b"text"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
