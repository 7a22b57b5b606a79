"""Confidence intervals: they hold the true value about as often as they say, and need enough samples."""

from __future__ import annotations

import random

import pytest

from mljupyter.telemetry.metrics.confidence import quantile_interval, ratio_interval, share_interval, shares_differ
from mljupyter.telemetry.metrics.histogram import Histogram


@pytest.mark.parametrize(("share", "fewest"), [(0.5, 8), (0.95, 73), (0.99, 381)])
def test_a_percentile_far_out_needs_more_samples(share: float, fewest: int) -> None:
    assert quantile_interval(Histogram.of([20] * (fewest - 1)), share) is None
    assert quantile_interval(Histogram.of([20] * fewest), share) is not None


def test_the_interval_of_a_percentile_holds_the_true_one_in_nineteen_of_twenty_samples_at_least() -> None:
    chance = random.Random(1)
    found = [quantile_interval(Histogram.of(chance.uniform(100, 1100) for _ in range(500)), 0.95) for _ in range(300)]
    held = sum(between is not None and between[0] <= 1050 <= between[1] for between in found)
    assert held / len(found) >= 0.95
    assert all(between is not None and between[1] - between[0] < 100 for between in found)


def test_the_interval_of_a_share_holds_the_true_one_in_nineteen_of_twenty_samples() -> None:
    chance = random.Random(1)
    found = [share_interval(sum(chance.random() < 0.02 for _ in range(300)), 300) for _ in range(300)]
    held = sum(between is not None and between[0] <= 0.02 <= between[1] for between in found)
    assert 0.90 <= held / len(found) <= 0.99


def test_without_samples_nothing_is_said() -> None:
    assert share_interval(0, 0) is None
    assert quantile_interval(Histogram(), 0.5) is None
    assert ratio_interval(None, (1.0, 2.0)) is None
    assert ratio_interval((0.0, 1.0), (1.0, 2.0)) is None
    assert not shares_differ(0.0, 0, 1.0, 10)


def test_rows_of_a_histogram_give_it_back() -> None:
    histogram = Histogram.of([0, 3, 3, 12, 250, 99_000])
    assert Histogram.of_rows(histogram.rows()) == histogram
    assert histogram.rows()[1] == [3.0, 4.0, 2]
