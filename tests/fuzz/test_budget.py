"""The bound on time: it ends a search that finds nothing, and lets one that has found something finish."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.fuzz.budget import Budget
from tests.fuzz.hours import rounds
from tests.waiting import HANG_SECONDS


def test_a_search_that_finds_nothing_ends_when_its_time_is_up() -> None:
    budget = Budget(0.2)

    @given(st.integers())
    @budget.example
    def holds(number: int) -> None:
        assume(number != 1)

    began = time.monotonic()
    budget.search(holds)
    assert time.monotonic() - began < HANG_SECONDS
    assert budget.tried > 1


def test_what_was_found_is_shrunk_although_the_time_is_up() -> None:
    budget = Budget(0.2)

    failed: list[int] = []

    @given(st.integers(0, 10**6))
    @budget.example
    def holds(number: int) -> None:
        if number > 10:
            if not failed:
                time.sleep(0.3)  # all of the time there is
            failed.append(number)
            raise ValueError("too large")

    with pytest.raises(ValueError, match="too large"):
        budget.search(holds)
    assert failed[-1] == 11


def test_rounds_end_with_the_time() -> None:
    assert rounds(120, 0, 3600) == 120
    assert rounds(3600, 0, 600) == 540
    assert rounds(120, 3550, 3600) is None
