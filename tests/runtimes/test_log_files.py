"""Logs that rotate while they are followed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.runtimes.process import log_files
from mljupyter.runtimes.process.log_files import after, lines
from mljupyter.scoring.logs.output import RotatingFile


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "replica.log"


def test_a_log_is_read_on_from_where_the_last_look_ended(log: Path) -> None:
    log.write_text("one\ntwo\n")
    first = after(log, None)
    assert first.lines == ["one\n", "two\n"]
    assert after(log, first.cursor).lines == []
    with log.open("a") as stream:
        stream.write("three\n")
    assert after(log, first.cursor).lines == ["three\n"]


def test_an_unfinished_line_waits_for_its_end(log: Path) -> None:
    log.write_text("one\ntw")
    first = after(log, None)
    assert first.lines == ["one\n"]
    with log.open("a") as stream:
        stream.write("o\n")
    assert after(log, first.cursor).lines == ["two\n"]


def test_what_was_rotated_away_since_the_last_look_is_told(log: Path) -> None:
    log.write_text("one\n")
    first = after(log, None)
    log.unlink()
    log.with_name("replica.log.1").write_text("five\n")
    log.write_text("six\n")
    part = after(log, first.cursor)
    assert part.lines == ["five\n", "six\n"]
    assert part.lost


def test_only_line_ends_end_lines(log: Path) -> None:
    log.write_bytes("a\u2028b\x1dc\x85d\n".encode() + b"\xff\n")
    assert after(log, None).lines == ["a\u2028b\x1dc\x85d\n", "\ufffd\n"]


def test_a_log_that_is_not_there_yet_is_empty(log: Path) -> None:
    part = after(log, None)
    assert (part.lines, part.cursor, part.lost) == ([], None, False)
    assert list(lines(log)) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=3), st.integers(0, 30))
def test_the_last_lines_are_the_end_of_all_lines(parts: list[list[int]], tail: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        for age, numbers in enumerate(parts):
            text = "".join(f"{age} {'x' * number}\n" for number in numbers)
            log.with_name(f"log.{age}" if age else "log").write_text(text)
        whole, part = after(log, None), after(log, None, tail=tail)
        assert part.lines == whole.lines[len(whole.lines) - min(tail, len(whole.lines)) :]
        assert part.cursor == whole.cursor


def test_the_end_of_a_log_of_a_gigabyte_is_read_at_once_even_if_it_is_one_line(log: Path) -> None:
    with log.open("wb") as stream:
        stream.seek(1 << 30)  # a file with a hole
        stream.write(b"\nlast but one\nlast\n")
    with patch.object(log_files, "_MOST_TAIL_BYTES", 1 << 20):
        part = after(log, None, tail=100)
        assert part.lines == ["last but one\n", "last\n"]
        assert after(log, part.cursor).lines == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 200),
)
def test_a_follower_that_keeps_up_gets_every_line_once(steps: list[tuple[int, bool]], most_bytes: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "log"
        writer = RotatingFile(str(file), max_bytes=2000, backups=2)
        written: list[str] = []
        read: list[str] = []
        cursor = None

        def look() -> None:
            nonlocal cursor
            while True:
                part = after(file, cursor, most_bytes)
                assert not part.lost
                read.extend(part.lines)
                cursor = part.cursor
                if not part.lines:
                    return

        unread = 0
        for length, look_now in steps:
            line = f"{len(written)} {'x' * length}\n"
            writer.write(line.encode())
            written.append(line)
            unread += len(line)
            if look_now or unread > 1500:  # a follower that is more than the backups behind loses lines
                look()
                unread = 0
        look()
        writer.close()
        assert read == written
