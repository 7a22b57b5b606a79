"""The limits of times in tests: they follow the machine, at the moment and over the last minute."""

from __future__ import annotations

import os

import pytest

from tests import waiting


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two processors, half as fast as usual just now, on which six programs ran in the last minute."""
    monkeypatch.setattr(waiting, "slowness", lambda: 2.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "getloadavg", lambda: (6.0, 1.0, 1.0))


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(("seconds", "limit"), [(0.5, 1.0), (15, 90)])
def test_a_promise_of_seconds_follows_the_last_minute_and_a_shorter_one_the_moment(
    seconds: float, limit: float
) -> None:
    assert waiting.promised(seconds) == limit


def test_on_an_idle_machine_a_promise_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "slowness", lambda: 1.0)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.1, 0.1, 0.1))
    assert waiting.promised(15) == 15


@pytest.mark.parametrize(
    ("took", "waited", "seconds"),
    [
        (0.0001, 0.0, 0.01),
        (0.005, 0.0, 0.015),  # a quarter of the time
        (0.005, 1.0, 0.05),
        (0.005, 60.0, 0.2),
        (0.5, 60.0, 0.5),  # half of the time
        (5.0, 60.0, 1.0),
    ],
)
def test_looks_get_rarer_the_longer_they_take_and_the_longer_the_wait_is(
    took: float, waited: float, seconds: float
) -> None:
    assert waiting.pause(took, waited) == pytest.approx(seconds)
