from __future__ import annotations

import math

from hypothesis import example, given
from hypothesis import strategies as st

from mljupyter.telemetry.metrics.histogram import Histogram, bounds, bucket_of, merged

latencies = st.lists(st.floats(0, 4e6, allow_nan=False), max_size=60)
histograms = latencies.map(Histogram.of)
shares = st.floats(0.001, 1)


def as_router(values: list[float]) -> list[dict[str, float]]:
    """Return values as Envoy reports them: two digits, its rounding errors in the bounds."""
    found = {}
    for value in values:
        whole = int(value)
        if whole == 0:
            found[0.0] = 0.0
            continue
        power = math.floor(math.log10(whole) + 1e-9)
        digits = int(str(whole)[:2]) if whole >= 10 else whole * 10
        found[digits / 10 * 10.0**power] = 10.0**power / 10
    return [
        {
            "lower_bound": lower,
            "width": width,
            "count": sum(1 for value in values if bucket_of(value) == bucket_of(lower + 1e-6)),
        }
        for lower, width in found.items()
    ]


@given(st.lists(st.integers(0, 10_000_000), max_size=30))
def test_what_the_router_reports_is_read_without_loss(values: list[int]) -> None:
    assert Histogram.of_router(as_router([float(value) for value in values])) == Histogram.of(values)


def test_the_bounds_that_the_router_really_sent_are_understood() -> None:
    seen = [
        {"lower_bound": 0, "width": 0, "count": 28},
        {"lower_bound": 1, "width": 0.1, "count": 4},
        {"lower_bound": 49, "width": 1, "count": 3},
        {"lower_bound": 490.00000000000006, "width": 10, "count": 8},
        {"lower_bound": 509.99999999999994, "width": 10, "count": 2},
        {"lower_bound": 969.9999999999999, "width": 10, "count": 1},
        {"lower_bound": 1100, "width": 100, "count": 7},
    ]
    found = {bounds(bucket): count for bucket, count in Histogram.of_router(seen).counts.items()}
    assert found == {
        (0, 1): 28, (1, 2): 4, (49, 50): 3, (490, 500): 8, (510, 520): 2, (970, 980): 1, (1100, 1200): 7
    }  # fmt: skip


@given(histograms, histograms, histograms)
def test_merging_is_associative_commutative_and_loses_nothing(a: Histogram, b: Histogram, c: Histogram) -> None:
    assert a.plus(b).plus(c) == a.plus(b.plus(c)) == merged([c, b, a])
    assert a.plus(b) == b.plus(a)
    assert a.plus(b).count == a.count + b.count
    assert a.plus(Histogram()) == a


@given(latencies, latencies)
def test_merged_histograms_are_that_of_all_values(a: list[float], b: list[float]) -> None:
    assert Histogram.of(a).plus(Histogram.of(b)) == Histogram.of(a + b)


@given(latencies.filter(bool), shares)
@example([9.999], 0.5)
@example([99.0, 99.5, 100.0], 0.67)
def test_a_quantile_is_within_a_tenth_or_a_millisecond_of_the_exact_one(values: list[float], share: float) -> None:
    exact = sorted(values)[math.ceil(share * len(values)) - 1]
    found = Histogram.of(values).quantile(share)
    assert found is not None
    assert abs(found - exact) <= max(1.0, 0.1 * exact) + 1e-6


@given(histograms, st.lists(shares, min_size=1).map(sorted))
def test_quantiles_grow_with_the_share(histogram: Histogram, asked: list[float]) -> None:
    found = histogram.quantiles(asked)
    assert len(found) == len(asked)
    if histogram.count == 0:
        assert set(found) == {None}
    else:
        known = [value for value in found if value is not None]
        assert known == sorted(known)
        assert len(known) == len(asked)


@given(histograms)
def test_encoding_is_undone_by_decoding(histogram: Histogram) -> None:
    assert Histogram.decode(histogram.encode()) == histogram


@given(histograms, histograms)
def test_what_came_since_is_what_was_added(before: Histogram, new: Histogram) -> None:
    assert before.plus(new).since(before) == new


def test_a_histogram_that_began_anew_is_noticed() -> None:
    assert Histogram.of([5]).since(Histogram.of([5, 5])) is None


@given(latencies, st.sampled_from([1, 2, 5, 10, 50, 100, 1000, 30_000, 300_000]))
def test_counts_up_to_the_end_of_a_bucket_are_exact(values: list[float], bound: int) -> None:
    assert Histogram.of(values).at_most(bound) == sum(value < bound for value in values)


@given(latencies)
def test_the_sum_is_within_a_tenth_or_half_a_millisecond_each(values: list[float]) -> None:
    assert abs(Histogram.of(values).sum - sum(values)) <= 0.05 * sum(values) + 0.5 * len(values) + 1e-6 * sum(values)
