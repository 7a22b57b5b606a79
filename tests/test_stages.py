"""``make test`` runs all stages and reports on them together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.waiting import HANG_SECONDS

MAKEFILE = """
style:
\t@echo "a line of style"
broken:
\t@echo "FAILED tests/test_one.py::test_this - AssertionError"
\t@printf '\\033[31m===== \\033[1m1 failed\\033[0m, 2 passed in 3.25s =====\\033[0m\\n'
\t@exit 1
twice:
\t@echo "===== 5 passed, 1 skipped in 61.00s (0:01:01) ====="
\t@printf "===== 7 passed in 1.00s ====="
first:
\t@touch began; until test -e met; do sleep 0.02; done; touch ended
beside:
\t@until test -e began; do sleep 0.02; done; touch met
after:
\t@test -e ended && echo "after the first"
"""


def stages(directory: Path, *names: str) -> tuple[int, str]:
    """Return the exit status and the output of the runner for a small Makefile."""
    (directory / "Makefile").write_text(MAKEFILE)
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "tests.stages", *names],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(root), "MAKE": "make", "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    return done.returncode, done.stdout


def test_all_stages_run_after_one_has_failed_and_the_table_says_how_each_went(tmp_path: Path) -> None:
    status, output = stages(tmp_path, "broken", "style", "twice")
    assert status == 2
    shown, _, summary = output.partition("= stages =")
    assert "a line of style" in shown and "1 failed" in shown
    assert "broken  FAILED    0.0 min  1 failed, 2 passed in 3.25s\n  FAILED tests/test_one.py::test_this" in summary
    assert "style   passed    0.0 min\n" in summary
    assert "twice   passed    0.0 min  5 passed, 1 skipped in 61.00s (0:01:01); 7 passed in 1.00s\n" in summary
    assert summary.endswith("0.0 minutes; failed: broken\n")


def test_the_exit_status_is_zero_when_all_stages_pass(tmp_path: Path) -> None:
    status, output = stages(tmp_path, "style", "twice")
    assert status == 0 and output.endswith("all stages passed\n")


def test_a_stage_that_does_not_exist_fails(tmp_path: Path) -> None:
    status, output = stages(tmp_path, "no-such-stage", "style")
    assert status == 2 and "No rule to make target" in output and "failed: no-such-stage\n" in output


def test_a_lane_runs_beside_another_and_its_stages_one_after_the_other(tmp_path: Path) -> None:
    status, output = stages(tmp_path, "beside,first+after", "style")
    assert status == 0, output
    shown, _, summary = output.partition("= stages =")
    assert shown.index("--- make first\n") < shown.index("--- make after\nafter the first\n")
    assert shown.index("after the first") < shown.index("--- make style\n")
    rows = [line.split()[0] for line in summary.splitlines() if "  passed  " in line]
    assert rows == ["beside", "first", "after", "style"]


def test_a_stage_runs_after_one_of_its_lane_that_failed(tmp_path: Path) -> None:
    status, output = stages(tmp_path, "style,broken+twice")
    assert status == 2 and "--- make twice\n" in output and output.endswith("failed: broken\n")
