"""Long results are encoded faster, to the very bytes that `json.dumps` writes."""

from __future__ import annotations

import enum
import json
import math
import random
import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.scoring.worker import fast_results
from mljupyter.scoring.worker.results import ResultError, encode_result
from tests.fuzz.json_documents import fast

_standard = json.JSONEncoder(separators=(",", ":")).encode


@pytest.fixture(scope="module", autouse=True)
def short_ones_too() -> Iterator[None]:
    with fast(), patch.object(fast_results, "LONG", 1), patch.object(fast_results, "FIRST", 0):
        yield


def encoded(value: Any) -> bytes | str:
    """Return what a client gets, or the end of the error of a script."""
    try:
        return encode_result(value)
    except ResultError as error:
        return str(error)


def expected(value: Any) -> bytes | str:
    with patch.object(fast_results, "LONG", 10**9):
        return encoded(value)


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    __slots__ = ()


class Opaque:
    def __repr__(self) -> str:
        return "opaque"  # without the address, which would differ between the processes that run tests


circular: list[Any] = [1]
circular.append(circular)
FAST = [
    [0.1, -0.0, 0.0, 1.0, 1e15, 9999999999999998.0, 0.0001, 100.00001, 1.00001],
    [1e16, -1e16, 1e22, 1e-5, 9.999e-05, -0.00001234, 1e-7, 5e-324, 1.7976931348623157e308, 123456789012345680.0],
    [[0.5, 1e-9], [2e20, 3.0]],
    [[[1.5], [1e-6]], [[-1e17], [0.0]]],
    [0, -1, 2**63, -(2**63), 2**64, 10**30],
    [True, False, None],
    ["a", "", 'q"uote', "back\\slash", "/", "\n\t\r\b\f\x00\x1f"],
    [{"id": 1, "p": 0.25, "label": "x", "none": None}, {"id": 2, "p": 0.5, "label": "e", "none": 1}],
    {"result": [0.5, 1e-9, 1e300], "names": ["a", "é"], "n": 3},
]
SLOW = [
    [math.nan, 1.0],
    [math.inf, -math.inf],
    [1e308, 1e308],
    [None, 1e-9],
    ["é", "\x7f", "中", "😀", "\ud800"],
    [[], [1e-9], []],
    [(1, 2), [3]],
    [Colour.RED, 1],
    [Name("x"), "y"],
    OrderedDict(a=[1]),
    [{1: 2}],
    [{"a": [1]}, {None: 1.5}],
    {1: [1, 2], "b": [3]},
    {"a": [1, 2], Name("b"): [3]},
    [b"bytes"],
    [{1, 2}],
    [Opaque()],
    [1, "x", b"y"],
    {"a": [1], "b": Opaque()},
    circular,
    {"a": circular},
    [[[[[[[[[[[[[[[[1.5]]]]]]]]]]]]]]]],
    [],
    {},
    None,
]


@pytest.mark.parametrize("value", FAST + SLOW, ids=lambda value: f"{type(value).__name__}-{str(value)[:30]!a}")
def test_a_result_is_encoded_to_the_bytes_of_json_dumps_or_refused_as_before(value: Any) -> None:
    assert encoded(value) == expected(value)


@pytest.mark.parametrize("value", FAST, ids=lambda value: f"{str(value)[:30]!a}")
def test_lists_of_plain_values_are_encoded_the_fast_way(value: Any) -> None:
    assert fast_results.compact(value) == _standard(value).encode()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.floats(0, 1e-3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(values, max_size=4) | st.lists(st.floats()) | st.dictionaries(st.text(max_size=3), values, max_size=3))
def test_any_result_is_encoded_to_the_bytes_of_json_dumps(value: Any) -> None:
    made = fast_results.compact(value)
    assert made is None or made == _standard(value).encode()


def test_any_float_is_encoded_to_the_bytes_of_json_dumps() -> None:
    chance = random.Random(4)
    for _ in range(200):
        drawn = struct.unpack("<50d", chance.getrandbits(3200).to_bytes(400, "little"))
        numbers = [one for one in drawn if abs(one) < 1e306]
        numbers += [chance.uniform(-1, 1) * 10.0 ** chance.randrange(-12, 20) for _ in range(50)]
        assert fast_results.compact(numbers) == _standard(numbers).encode()
