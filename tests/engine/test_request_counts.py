"""Counts and histograms: percentiles, differences, and counters that began anew."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.rollout.request_counts import RequestCounts

buckets = st.dictionaries(
    st.tuples(st.integers(0, 50).map(lambda number: number * 10.0), st.just(10.0)), st.integers(1, 50), max_size=8
)
numbers = st.builds(RequestCounts, st.integers(0, 100), st.integers(0, 100), buckets, st.integers(0, 100))


@pytest.mark.parametrize(("share", "expected"), [(0.25, 5.0), (0.5, 10.0), (0.9, 20.0), (0.95, 105.0), (1.0, 110.0)])
def test_a_percentile_lies_within_its_bucket(share: float, expected: float) -> None:
    counts = RequestCounts(latencies={(0.0, 10.0): 50, (10.0, 10.0): 40, (100.0, 10.0): 10})
    assert counts.latency(share) == pytest.approx(expected)


def test_without_requests_there_is_neither_latency_nor_error() -> None:
    assert (RequestCounts().latency(0.99), RequestCounts().error_percentage) == (0.0, 0.0)


@given(numbers, numbers)
def test_what_was_added_is_what_differs(earlier: RequestCounts, more: RequestCounts) -> None:
    assert earlier.plus(more).since(earlier) == more


@given(numbers)
def test_counters_that_began_anew_count_from_zero(counts: RequestCounts) -> None:
    greater = RequestCounts(counts.requests + 1, counts.errors, counts.latencies, counts.client_errors)
    assert counts.since(greater) == counts


@given(numbers)
def test_counts_survive_as_json(counts: RequestCounts) -> None:
    assert RequestCounts.of(json.loads(json.dumps(counts.document()))) == counts


@given(numbers, st.floats(0.01, 1.0))
def test_a_greater_share_never_takes_less_time(counts: RequestCounts, share: float) -> None:
    assert counts.latency(share) <= counts.latency(1.0)
    assert counts.latency(share / 2) <= counts.latency(share)
