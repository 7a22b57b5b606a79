"""Where sockets are, and who may reach them."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from mljupyter.client.errors import SocketPathError
from mljupyter.controller.layout import Layout, check_socket_path, private_directory
from tests.waiting import switching_often


def test_all_clients_find_the_directory_chosen_first(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(short_path / "first"))
    layout = Layout.of(short_path)
    layout.prepare()
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(short_path / "second"))
    assert layout.socket().is_relative_to(short_path / "first")
    layout.prepare()
    assert layout.socket().is_relative_to(short_path / "first")


def test_another_directory_is_chosen_for_one_that_is_gone(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(short_path / "first"))
    layout = Layout.of(short_path)
    layout.prepare()
    layout.runtime().rmdir()
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(short_path / "second"))
    layout.prepare()
    assert layout.socket().is_relative_to(short_path / "second")


def test_a_directory_that_is_gone_is_made_again_at_its_place(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(short_path / "run"))
    layout = Layout.of(short_path)
    layout.prepare()
    before = layout.runtime()
    shutil.rmtree(short_path / "run")
    layout.prepare()
    assert layout.runtime() == before and before.stat().st_mode & 0o777 == 0o700


def test_a_link_that_is_gone_is_made_again(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)
    layout.prepare()
    layout.runtime_link.unlink()
    assert not layout.socket().exists()
    layout.prepare()
    assert layout.runtime_link.is_symlink() and layout.runtime().is_dir()


def test_the_directory_of_a_workspace_that_an_earlier_release_serves_stays_in_use(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(short_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    earlier = short_path / f"mljupyter-{os.getuid()}" / "f55dd7c072"
    earlier.mkdir(parents=True, mode=0o700)
    layout = Layout.of(short_path / "workspace")
    layout.control.mkdir(parents=True, mode=0o700)
    layout.runtime_link.symlink_to(earlier)
    layout.prepare()
    assert layout.socket() == earlier / "controller.sock"


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
    one, two = Layout.of(tmp_path / "one"), Layout.of(tmp_path / "two")
    one.prepare()
    two.prepare()
    assert one.runtime() != two.runtime()


def test_the_limit_of_107_bytes_counts_bytes(tmp_path: Path) -> None:
    check_socket_path(Path("/" + "a" * 102))
    with pytest.raises(SocketPathError, match="has 113 bytes"):
        check_socket_path(Path("/" + "ä" * 56))


def test_a_directory_open_to_others_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "open"
    path.mkdir(mode=0o755)
    private_directory(path)
    assert path.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(("mode", "safe"), [(0o755, True), (0o1777, True), (0o777, False), (0o775, False)])
def test_sockets_go_only_where_nobody_else_can_put_something_in_their_place(
    short_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, safe: bool
) -> None:
    base = short_path / "base"
    base.mkdir()
    os.chown(base, -1, os.getgid() if os.getgid() != os.getuid() else _another_group())
    base.chmod(mode)
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(base / "mine"))
    layout = Layout.of(short_path / "workspace")
    with nullcontext() if safe else pytest.raises(SocketPathError, match="others may rename files in"):
        layout.prepare()


def _another_group() -> int:
    others = [group for group in os.getgroups() if group != os.getuid()]
    if os.getuid() == 0:
        return 12345
    return others[0] if others else pytest.skip("it needs a second group: the one of this user alone is no other's")


def test_a_link_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(SocketPathError, match="must be your own directory"):
        private_directory(tmp_path / "link")


@pytest.mark.skipif(os.getuid() != 0, reason="it makes a directory of another user: run the tests as root")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "theirs"
    path.mkdir()
    os.chown(path, 12345, 12345)
    with pytest.raises(SocketPathError, match="must be your own directory"):
        private_directory(path)
