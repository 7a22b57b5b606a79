"""Percentiles to weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.rollout.traffic import Split, split, weights


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


@pytest.mark.parametrize(
    ("percentiles", "default", "able", "before", "expected"),
    [
        ({"a": 0, "b": 10}, "a", {"a", "b"}, "a", Split({"a": 90, "b": 10}, "a")),
        ({"a": 0, "b": 10}, "a", {"a"}, "a", Split({"a": 100}, "a")),
        ({"a": 0, "b": 100}, "a", {"a"}, None, Split({"a": 100}, "a")),
        ({"a": 0, "b": 10, "c": 0}, "c", {"a", "b"}, "a", Split({"a": 90, "b": 10}, "a")),
        ({"a": 0, "b": 10, "c": 0}, "c", {"a", "b", "c"}, "a", Split({"b": 10, "c": 90}, "c")),
        ({"a": 0, "b": 10, "c": 20}, "a", {"b", "c"}, "a", Split({"b": 10, "c": 90}, "c")),
        ({"a": 0, "b": 10}, "a", set(), "b", Split({"a": 90, "b": 10}, "a")),
        ({"a": 0, "b": 10}, "a", {"b"}, "gone", Split({"b": 100}, "b")),
    ],
)
def test_a_version_that_cannot_answer_leaves_its_share_to_the_default_or_who_was_it_before(
    percentiles, default, able, before, expected
) -> None:
    assert split(percentiles, default, able, before) == expected


@given(
    st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(lambda shares: sum(shares) <= 100),
    st.sets(st.sampled_from([f"v{index}" for index in range(6)])),
)
def test_all_requests_go_to_versions_that_can_answer_where_there_are_any(shares: list[int], able: set[str]) -> None:
    percentiles = {f"v{index}": share for index, share in enumerate(shares)}
    found = split(percentiles, "v0", able)
    assert sum(found.weights.values()) == 100
    assert found.default in percentiles
    if able & percentiles.keys():
        assert found.weights.keys() <= able
        assert found.default in able
