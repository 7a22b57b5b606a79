"""Where sockets are, and who may reach them."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mljupyter.controller.errors import SocketPathError
from mljupyter.controller.layout import Layout, check_socket_path, private_directory, runtime_directory
from tests.waiting import switching_often


def test_all_clients_find_the_directory_chosen_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(tmp_path / "first"))
    layout = Layout.of(tmp_path)
    layout.prepare()
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(tmp_path / "second"))
    assert layout.socket().is_relative_to(tmp_path / "first")
    layout.prepare()
    assert layout.socket().is_relative_to(tmp_path / "first")


def test_a_directory_that_is_gone_is_chosen_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(tmp_path / "first"))
    layout = Layout.of(tmp_path)
    layout.prepare()
    layout.runtime().rmdir()
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(tmp_path / "second"))
    layout.prepare()
    assert layout.socket().is_relative_to(tmp_path / "second")


def test_threads_of_one_process_that_prepare_at_once_find_one_directory(tmp_path: Path) -> None:
    for number in range(60):
        layout = Layout.of(tmp_path / str(number))
        together = threading.Barrier(2)

        def prepare(layout: Layout = layout, together: threading.Barrier = together) -> Path:
            together.wait()
            layout.prepare()
            return layout.runtime()

        with switching_often(), ThreadPoolExecutor(2) as pool:
            first, second = [pool.submit(prepare) for _ in range(2)]
            assert first.result() == second.result()
        assert [path.name for path in layout.control.glob("run*")] == ["run"]


def test_two_paths_to_a_workspace_mean_the_same_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert Layout.of(tmp_path / "link") == Layout.of(tmp_path / "real")


def test_different_workspaces_have_different_directories(tmp_path: Path) -> None:
    assert runtime_directory(tmp_path / "one") != runtime_directory(tmp_path / "two")


def test_the_limit_of_107_bytes_counts_bytes(tmp_path: Path) -> None:
    check_socket_path(Path("/" + "a" * 102))
    with pytest.raises(SocketPathError, match="has 113 bytes"):
        check_socket_path(Path("/" + "ä" * 56))


def test_a_directory_open_to_others_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.mkdir(mode=0o755)
    private_directory(path)
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(SocketPathError, match="not a directory of yours"):
        private_directory(tmp_path / "link")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a directory that belongs to somebody else")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs"
    path.mkdir()
    os.chown(path, 12345, 12345)
    with pytest.raises(SocketPathError, match="not a directory of yours"):
        private_directory(path)
