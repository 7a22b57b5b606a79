"""Logs of several replicas in one."""

from __future__ import annotations

from mljupyter.controller.logs.merge import beginning, merged
from mljupyter.runtimes.base import ReplicaLog


def log(*lines: str, started: float = 0.0) -> ReplicaLog:
    return ReplicaLog("replica", started, lambda: iter(line + "\n" for line in lines))


def test_lines_come_in_the_order_of_time() -> None:
    logs = [
        log("2026-01-01T00:00:01Z a-first", "2026-01-01T00:00:03Z a-second", "2026-01-01T00:00:05Z a-third"),
        log("2026-01-01T00:00:02Z b-first", "2026-01-01T00:00:04Z b-second"),
    ]
    words = [line.split()[1] for line in merged(logs, 100).splitlines()]
    assert words == ["a-first", "b-first", "a-second", "b-second", "a-third"]


def test_a_line_without_a_time_stays_behind_the_one_before() -> None:
    logs = [log("2026-01-01T00:00:01Z Traceback", "  its second line"), log("2026-01-01T00:00:02Z later")]
    assert merged(logs, 100).splitlines()[1] == "  its second line"


def test_only_the_last_lines_are_returned() -> None:
    lines = [f"2026-01-01T00:00:{second:02}Z {second}" for second in range(50)]
    assert [line.split()[1] for line in merged([log(*lines)], 2).splitlines()] == ["48", "49"]


def test_a_last_line_without_an_end_gets_one() -> None:
    unfinished = ReplicaLog("replica", 0.0, lambda: iter(["2026-01-01T00:00:01Z unfinished"]))
    assert merged([unfinished], 10) == "2026-01-01T00:00:01Z unfinished\n"


def test_the_beginning_is_of_the_newest_log() -> None:
    logs = [log("old", started=1.0), log("first", "second", "third", started=2.0)]
    assert beginning(logs, 2) == "first\nsecond\n"
    assert beginning([], 2) == ""
