"""Log lines for people, and the reason of a failed start that is read from them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from mljupyter.engine.log_lines import failed_start, shown_line

HEAD = "2026-11-30T09:10:52.076063Z E [20687] azmlinfsrv.user_script | "
PATH = "/home/ada/control/revisions/breaks.breaks.fef823cc56b6/score.py"
INIT = [
    f"{HEAD}init() of the scoring script raised RuntimeError: no such weights",
    f"{HEAD}Traceback (most recent call last):",
    f'{HEAD}  File "{PATH}", line 9, in init',
    f"{HEAD}    load()",
    f'{HEAD}  File "{PATH}", line 5, in load',
    f"{HEAD}    raise RuntimeError('no such weights')",
    f'{HEAD}  File "/usr/lib/python3/site-packages/joblib/pickle.py", line 741, in load',
    f"{HEAD}RuntimeError: no such weights",
    "2026-11-30T09:10:52.298112Z C [20665] azmlinfsrv | init() of the scoring script raised RuntimeError: no such; ...",
]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_failed_init_is_a_sentence_with_the_deepest_line_of_the_script() -> None:
    found = failed_start(INIT)
    assert found is not None
    assert found.sentence() == "init() failed in line 5 of score.py: RuntimeError: no such weights"
    assert found.sentence("the cell") == "init() failed in line 5 of the cell: RuntimeError: no such weights"


def test_a_failed_import_is_one_too() -> None:
    lines = [
        f"{HEAD}the scoring script score.py cannot be imported: ModuleNotFoundError: No module named 'torch'",
        f'{HEAD}  File "{PATH}", line 2, in <module>',
    ]
    found = failed_start(lines)
    assert found is not None
    assert found.sentence() == "import failed in line 2 of score.py: ModuleNotFoundError: No module named 'torch'"


@pytest.mark.parametrize("lines", [[], ["killed"], [f"{HEAD}run() raised:"]])
def test_a_log_that_tells_no_reason_gives_none(lines: list[str]) -> None:
    assert failed_start(lines) is None


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (INIT[0], "10:10:52.076 E init() of the scoring script raised RuntimeError: no such weights"),
        (f'{HEAD}  File "a.py"', '10:10:52.076 E   File "a.py"'),
        ("2026-11-29T23:30:00.5Z I [1] a.b | x", "00:30:00.500 I x"),
        ("2026-11-28T09:00:00Z W plain", "2026-11-28 10:00:00.000 W plain"),
        ("no time", "no time"),
        ("2026-13-99T09:00:00Z W plain", "2026-13-99T09:00:00Z W plain"),
    ],
)
def test_a_line_has_local_time_to_the_millisecond_and_no_logger(line: str, shown: str) -> None:
    assert shown_line(line, NOW, timezone(timedelta(hours=1))) == shown
