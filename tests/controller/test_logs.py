"""Logs of several replicas in one."""

from __future__ import annotations

import os
from pathlib import Path

from mljupyter.controller.logs import beginning, merged


def write(path: Path, *lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))
    return path


def test_lines_come_in_the_order_of_time_and_rotated_parts_first(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a" / "replica.log", "2026-01-01T00:00:05Z a-new"),
        write(tmp_path / "a" / "replica.log.1", "2026-01-01T00:00:03Z a-older"),
        write(tmp_path / "a" / "replica.log.2", "2026-01-01T00:00:01Z a-oldest"),
        write(tmp_path / "b" / "replica.log", "2026-01-01T00:00:02Z b", "2026-01-01T00:00:04Z b"),
    ]
    words = [line.split()[1] for line in merged(files, 100).splitlines()]
    assert words == ["a-oldest", "b", "a-older", "b", "a-new"]


def test_a_line_without_a_time_stays_behind_the_one_before(tmp_path: Path) -> None:
    files = [
        write(tmp_path / "a" / "replica.log", "2026-01-01T00:00:01Z Traceback", "  its second line"),
        write(tmp_path / "b" / "replica.log", "2026-01-01T00:00:02Z later"),
    ]
    assert merged(files, 100).splitlines()[1] == "  its second line"


def test_only_the_last_lines_are_returned(tmp_path: Path) -> None:
    file = write(tmp_path / "a" / "replica.log", *(f"2026-01-01T00:00:{second:02}Z {second}" for second in range(50)))
    assert [line.split()[1] for line in merged([file], 2).splitlines()] == ["48", "49"]


def test_the_beginning_is_of_the_newest_log(tmp_path: Path) -> None:
    old = write(tmp_path / "a" / "replica.log", "old")
    new = write(tmp_path / "b" / "replica.log", "first", "second", "third")
    os.utime(old, (1, 1))
    assert beginning([old, new], 2) == "first\nsecond\n"
    assert beginning([], 2) == ""


def test_bytes_that_are_no_text_do_not_hurt(tmp_path: Path) -> None:
    path = write(tmp_path / "a" / "replica.log")
    path.write_bytes(b"\xff\xfe broken")
    assert "broken" in merged([path], 10)
