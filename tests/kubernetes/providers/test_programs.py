from __future__ import annotations

import threading
from pathlib import Path

import pytest

from mljupyter.targets.kubernetes.providers.programs import (
    LAST_LINES,
    MOST_CHARACTERS,
    MOST_LINES,
    CancelledError,
    ProgramError,
    run,
)
from tests.waiting import wait_until


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


def test_lines_are_passed_on_one_by_one_without_control_characters() -> None:
    lines: list[str] = []
    run(shell("printf 'one\\n 10%%\\r 99%%\\r 100%%\\n\\n\\033[31mred\\n'; echo two >&2"), lines.append)
    assert sorted(lines) == sorted(["one", " 100%", r"\x1b[31mred", "two"])


def test_long_lines_are_cut_and_a_flood_of_lines_is_left_out() -> None:
    lines: list[str] = []
    run(shell(f"head -c 5000 /dev/zero | tr '\\0' x; echo; seq {MOST_LINES + 50}"), lines.append)
    assert lines[0] == "x" * MOST_CHARACTERS + "..."
    assert len(lines) == MOST_LINES + 1
    assert lines[-1] == "... (further lines are left out)"


def test_the_error_of_a_failure_has_the_exit_status_and_the_last_lines() -> None:
    with pytest.raises(ProgramError) as caught:
        run(shell("seq 20; echo https://user:secret@example.org; exit 3"), lambda line: None, shown="the command")
    lines = caught.value.message.splitlines()
    assert lines[0] == "the command ended with exit status 3:"
    assert len(lines) == 1 + LAST_LINES
    assert lines[-2:] == ["  20", "  https://***@example.org"]


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"absent --x cannot be started: No such file"):
        run([str(tmp_path / "absent"), "--x"], lambda line: None)


def test_captured_output_is_returned_and_not_passed_on() -> None:
    lines: list[str] = []
    assert run(shell("echo kubeconfig; echo progress >&2"), lines.append, captured=True) == "kubeconfig\n"
    assert lines == ["progress"]


def test_captured_output_is_limited() -> None:
    with pytest.raises(ProgramError, match="more than 1,000,000 bytes"):
        run(shell("head -c 2000000 /dev/zero"), lambda line: None, captured=True)


def test_a_program_is_ended_with_all_that_it_has_started_when_it_is_cancelled(tmp_path: Path) -> None:
    cancel, lines = threading.Event(), []
    began = tmp_path / "began"
    timer = threading.Thread(target=lambda: (wait_until(began.exists), cancel.set()))
    timer.start()
    with pytest.raises(CancelledError):
        run(shell(f"sleep 600 & echo $! > {began}.new; mv {began}.new {began}; wait"), lines.append, cancel=cancel)
    timer.join()
    child = Path(f"/proc/{began.read_text().strip()}")

    def ended() -> bool:
        try:
            return "Z" in (child / "stat").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(ended, "the end of the child")


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ProgramError, match="did not end within 0.3 s"):
        run(["sleep", "600"], lambda line: None, within=0.3)


def test_a_background_process_that_keeps_the_output_open_does_not_hold_the_end_up() -> None:
    lines: list[str] = []
    run(shell("echo done; sleep 600 & echo $!"), lines.append)
    assert lines[0] == "done"
    import os
    import signal

    os.kill(int(lines[1]), signal.SIGKILL)
