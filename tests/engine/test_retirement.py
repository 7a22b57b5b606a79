"""A replica that gets nothing new stops when it has been quiet for a moment, or when no request can last any longer."""

from __future__ import annotations

import pytest

from mljupyter.engine.replicas.draining import QUIET_SECONDS, Draining

LOOKS = {
    "not looked at": ([], 1.0, False),
    "just quiet": ([(False, 1.0)], 1.0, False),
    "quiet for long enough": ([(False, 1.0), (False, 1.0 + QUIET_SECONDS)], 1.0 + QUIET_SECONDS, True),
    "busy again meanwhile": ([(False, 1.0), (True, 1.2), (False, 1.4)], 1.0 + QUIET_SECONDS, False),
    "busy to the end": ([(True, float(time)) for time in range(9)], 9.9, False),
    "busy beyond the longest time": ([(True, float(time)) for time in range(9)], 10.0, True),
}


@pytest.mark.parametrize("case", LOOKS)
def test_it_stops_when_it_was_quiet_or_in_the_end(case: str) -> None:
    looks, now, expected = LOOKS[case]
    retirement = Draining(since=0.0, longest=10.0)
    for busy, time in looks:
        retirement = retirement.seen(busy, time)
    assert retirement.may_stop(now) is expected
