"""The size that a profile recommends."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.engine.scaling.recommender import (
    MOST_CPU,
    MOST_MEMORY_GB,
    UsageSample,
    peak_cpu,
    percentile,
    recommended,
)


def samples(*points: tuple[float, float]) -> list[UsageSample]:
    return [UsageSample(at, cpu, 0.0) for at, cpu in points]


@pytest.mark.parametrize(
    ("points", "peak"),
    [
        ([], 0.0),
        ([(0, 0)], 0.0),
        ([(0, 0), (2, 1)], 0.5),
        ([(0, 0), (0.5, 0.4)], 0.8),  # shorter than the window: all of it
        ([(0, 0), (0.5, 0.5), (1, 0.5), (1.5, 0.5)], 0.5),  # half a second of a whole core is half of one
        ([(0, 0), (1, 0.1), (2, 1.1), (3, 1.2)], 1.0),
        ([(0, 5), (1, 1), (2, 1.5)], 0.5),  # a worker that ended took its seconds along
    ],
)
def test_the_peak_is_that_of_a_whole_second(points: list[tuple[float, float]], peak: float) -> None:
    assert peak_cpu(samples(*points)) == pytest.approx(peak)


@pytest.mark.parametrize(
    ("used", "size"),
    [
        ((0.0, 0.0), (0.1, 0.1)),
        ((0.5, 0.4), (0.6, 0.5)),
        ((1.0, 0.08), (1.2, 0.1)),
        ((0.51, 1.0), (0.7, 1.3)),
        ((9.0, 99.0), (MOST_CPU, MOST_MEMORY_GB)),
    ],
)
def test_a_size_has_headroom_and_is_in_tenths(used: tuple[float, float], size: tuple[float, float]) -> None:
    assert recommended(*used) == size


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_size_covers_what_was_used_unless_nothing_larger_may_be_asked_for(cpu: float, memory: float) -> None:
    size_cpu, size_memory = recommended(cpu, memory)
    assert size_cpu >= min(cpu, MOST_CPU) and 0.1 <= size_cpu <= MOST_CPU
    assert size_memory >= min(memory, MOST_MEMORY_GB) and 0.1 <= size_memory <= MOST_MEMORY_GB


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(values: list[float], percent: float) -> None:
    found = percentile(sorted(values), percent)
    assert found in values
    assert sum(value <= found for value in values) >= math.floor(len(values) * percent / 100)


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
