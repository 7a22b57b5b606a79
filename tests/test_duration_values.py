"""Durations that users give to the SDK, the magics and the command line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mljupyter.durations import DurationError, seconds_of, seconds_since
from mljupyter.notebook.options.option import Option
from mljupyter.notebook.options.option_values import read

NONE = ["", "15", "m", "-5m", "1 year", "nan", None, True, float("inf"), float("nan"), 10**400, "9" * 5000 + "h", [1]]


@pytest.mark.parametrize("value", NONE, ids=lambda value: repr(value)[:10] if value != 10**400 else "large")
def test_a_value_that_is_not_a_duration_is_refused_by_its_name(value: object) -> None:
    with pytest.raises(DurationError, match="^every is .*: it must be a duration, such as 30s") as caught:
        seconds_of(value, "every")  # type: ignore[arg-type]
    assert len(caught.value.message) < 350


def test_zero_is_a_duration_unless_it_must_be_above_zero() -> None:
    assert seconds_of("0s", "every") == seconds_of(0, "every") == 0
    for value in ("0s", 0, -1, timedelta(0)):
        with pytest.raises(DurationError, match="since is .*: it must be a duration above 0"):
            seconds_of(value, "since", above_zero=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("1.5s", 1.5), ("2 min", 120), ("15m", 900), (" 2h ", 7200), ("7d", 604_800), ("1w", 604_800)],
)
def test_text_has_a_unit_for_the_sdk_and_for_magics(text: str, seconds: float) -> None:
    assert seconds_of(text, "every") == read(Option("timeout", "a time", kind="duration"), text) == seconds


def test_a_number_alone_is_in_seconds_for_a_magic() -> None:
    assert read(Option("timeout", "a time", kind="duration"), "1.5") == 1.5


def test_moments_are_durations_before_now_or_times() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert seconds_since("2h", now) == seconds_since(7200, now) == seconds_since(timedelta(hours=2), now) == 7200
    assert seconds_since(datetime(2026, 1, 1, 23, tzinfo=UTC), now) == 3600
    with pytest.raises(DurationError, match="past"):
        seconds_since(datetime(2026, 1, 3, tzinfo=UTC), now)
