from __future__ import annotations

import threading

import pytest

from mljupyter.build.images import BuildCancelledError, BuildEvent
from mljupyter.build.images.events import BuildLog


def test_stages_have_states_and_times_and_lines_belong_to_them() -> None:
    seen: list[BuildEvent] = []
    log = BuildLog(seen.append)
    with log.stage("one"):
        log.line("first\nsecond\n")
    log.begin("two")
    log.end("failed")
    assert [(event.stage, event.state, event.text) for event in seen] == [
        ("one", "running", ""),
        ("one", None, "first"),
        ("one", None, "second"),
        ("one", "succeeded", ""),
        ("two", "running", ""),
        ("two", "failed", ""),
    ]
    assert set(log.stages) == {"one", "two"}
    assert log.last_lines(1) == ["second"]
    assert "--- one: succeeded after" in log.text()


@pytest.mark.parametrize(
    "line",
    [
        "logging in with s3cret!",
        "in a URL: https://ada:s3cret%21@example.org/simple",
        "unknown ones, too: https://other:hunter2@example.org",
        "encoded: YWRhOnMzY3JldCE=",
    ],
)
def test_secrets_reach_nobody(line: str) -> None:
    seen: list[BuildEvent] = []
    log = BuildLog(seen.append, ["s3cret!", "YWRhOnMzY3JldCE="])
    log.line(line)
    for text in (log.text(), seen[0].text):
        assert not any(secret in text for secret in ("s3cret", "hunter2", "YWRh"))
        assert "***" in text


def test_colours_of_terminals_are_gone() -> None:
    log = BuildLog()
    log.line("\x1b[31mred\x1b[0m")
    assert log.last_lines() == ["red"]


def test_a_cancelled_stage_says_so() -> None:
    cancel = threading.Event()
    log = BuildLog(cancel=cancel)
    cancel.set()
    with pytest.raises(BuildCancelledError), log.stage("one"):
        log.raise_if_cancelled()
    assert log.events[-1].state == "cancelled"
