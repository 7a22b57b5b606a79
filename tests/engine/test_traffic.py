"""Percentiles to weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.traffic import weights


@pytest.mark.parametrize(
    ("percentiles", "default", "expected"),
    [
        ({"a": 20}, "a", {"a": 100}),
        ({"a": 20, "b": 10}, "a", {"a": 90, "b": 10}),
        ({"a": 10, "b": 30}, "b", {"a": 10, "b": 90}),
        ({"a": 0, "b": 100}, "a", {"b": 100}),
        ({"a": 0, "b": 0}, "b", {"b": 100}),
    ],
)
def test_what_nobody_claims_goes_to_the_default_version(percentiles, default, expected) -> None:
    assert weights(percentiles, default) == expected


@pytest.mark.parametrize(
    ("percentiles", "default"), [({"a": 101}, "a"), ({"a": -1}, "a"), ({"a": 60, "b": 41}, "a"), ({"a": 1}, "b")]
)
def test_percentiles_against_the_rules_are_refused(percentiles, default) -> None:
    with pytest.raises(ValueError, match=r"percentile|default"):
        weights(percentiles, default)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(lambda shares: sum(shares) <= 100))
def test_weights_always_add_up_to_100_and_respect_percentiles(shares: list[int]) -> None:
    percentiles = {f"v{index}": share for index, share in enumerate(shares)}
    found = weights(percentiles, default="v0")
    assert sum(found.values()) == 100
    assert all(found.get(name, 0) == share for name, share in percentiles.items() if name != "v0")
