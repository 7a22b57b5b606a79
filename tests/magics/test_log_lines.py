"""Which lines of a log are shown."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.notebook.views.log_lines import LEVELS, Filter

LOG = [
    "2026-01-01T10:00:00.000000Z I [7] azmlinfsrv.print | loading",
    "2026-01-01T10:05:00.000000Z E [7] azmlinfsrv.user_script | run() failed",
    "Traceback (most recent call last):",
    "ValueError: 3",
    "2026-01-01T10:06:00.000000Z W [7] azmlinfsrv.stderr | careful",
    "2026-99-01T10:06:00Z I what a script prints may only look like a time",
]


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        (Filter(), [0, 1, 2, 3, 4, 5]),
        (Filter(level="error"), [1, 2, 3]),
        (Filter(level="warning"), [1, 2, 3, 4]),
        (Filter(pattern=re.compile("fail|Value")), [1, 3]),
        (Filter(since=datetime(2026, 1, 1, 10, 5, 30, tzinfo=UTC)), [4]),
        (Filter(since=datetime(2026, 1, 1, 10, 1, tzinfo=UTC), level="error"), [1, 2, 3]),
    ],
)
def test_lines_without_a_time_belong_to_the_one_before(chosen: Filter, numbers: list[int]) -> None:
    assert list(chosen.chosen(LOG)) == [LOG[number] for number in numbers]


@given(st.lists(st.text(max_size=40)), st.sampled_from(LEVELS))
def test_any_lines_are_filtered_in_order(lines: list[str], level: str) -> None:
    found = list(Filter(level=level).chosen(lines))
    remaining = iter(lines)
    assert all(line in remaining for line in found)
