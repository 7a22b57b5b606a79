"""A worker that is to be killed has the time to write its stacks, and no more."""

from __future__ import annotations

import pytest

from mljupyter.scoring.server.stack_dump import MOST_SECONDS, QUIET_SECONDS, seconds_to_wait


@pytest.mark.parametrize(
    ("now", "wrote_at", "waits"),
    [
        (0.0, 0.0, True),  # nothing is written yet
        (0.9, 0.0, True),
        (MOST_SECONDS, 0.0, False),
        (0.5, 0.4, True),  # and maybe more comes
        (0.4 + QUIET_SECONDS, 0.4, False),
        (0.5, -2.0, True),  # what was written before are no stacks
        (MOST_SECONDS, 0.999, False),  # a script that writes all the time
    ],
)
def test_it_waits_until_standard_error_is_quiet_again_or_a_second_has_passed(
    now: float, wrote_at: float, waits: bool
) -> None:
    began = 100.0
    left = seconds_to_wait(began, began + now, began + wrote_at if wrote_at else 0.0)
    assert (left > 0) is waits
    assert now + left <= MOST_SECONDS
