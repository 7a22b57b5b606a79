"""Conversion by the types of inference-schema is faster in workers, with the arrays, frames and errors that it had."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from itertools import permutations
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_schema.parameter_types import pandas_parameter_type
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType

from mljupyter.scoring.worker import fast_results, fast_schema
from tests.fuzz.json_documents import fast


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    with (
        fast(),
        patch.object(fast_results, "LONG", 1),
        patch.object(fast_results, "FIRST", 0),
        patch.object(pandas_parameter_type, "json", json),
    ):
        yield


def told(convert: Callable[[Any], Any], text: str) -> tuple[Any, ...]:
    """Return everything of an array, or the error."""
    try:
        array = convert(json.loads(text))
    except Exception as error:
        return type(error), str(error)
    return type(array), array.dtype, array.shape, array.tobytes() if array.dtype != object else array.tolist()


def faster(kind: Any) -> Any:
    fast_schema.make_faster([kind])
    return kind


@pytest.mark.parametrize("enforce_shape", [True, False])
@pytest.mark.parametrize("enforce_type", [True, False])
@pytest.mark.parametrize(
    "sample",
    [
        *(np.zeros((1, 2), dtype=kind) for kind in ("float64", "float32", "int64", "uint8", "bool", "complex128")),
        *(np.zeros(1), np.zeros((1, 2, 1)), np.array(1.5), np.array(["text"]), np.array([None])),
        *(np.array(["2020-01-01"], dtype="datetime64[D]"), np.array([5], dtype="timedelta64[s]")),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
    ],
    ids=lambda sample: f"{sample.dtype}-{sample.ndim}",
)
def test_an_array_or_its_error_is_that_of_the_type_alone(
    sample: np.ndarray[Any, Any], enforce_type: bool, enforce_shape: bool
) -> None:
    texts = (
        *(
            "[[1, 2], [3, 4]]",
            "[[1.5, 2]]",
            "[1, 2.5, -0.0]",
            "[]",
            "[[]]",
            "[[1, 2], [3]]",
            "[[1, null]]",
            "[[1, NaN]]",
        ),
        *('[["1", "x"]]', '["2020-01-01"]', '["5 seconds"]', '[{"a": 1, "b": 2}]', "[[[1], [2]]]", "5", '"x"', "{}"),
        *("[[300, -1]]", "[[1e400, 2]]", "[[18446744073709551616, 1]]", "[[true, false]]", "null"),
    )
    own = NumpyParameterType(sample, enforce_type, enforce_shape)
    with np.errstate(all="ignore"):
        wanted = [told(own.deserialize_input, text) for text in texts]
        assert [told(faster(own).deserialize_input, text) for text in texts] == wanted


def test_an_array_inside_of_another_parameter_is_converted_the_fast_way_too() -> None:
    inner = NumpyParameterType(np.zeros((1, 2)))
    faster(StandardPythonParameterType({"data": inner, "other": StandardPythonParameterType([inner])}))
    with patch.object(NumpyParameterType, "_preprocess_json_input", side_effect=AssertionError):
        assert inner.deserialize_input([[1, 2]]).tolist() == [[1.0, 2.0]]


def test_a_type_of_the_users_own_is_left_alone() -> None:
    class Own(NumpyParameterType):  # type: ignore[misc] # the package has no types
        def deserialize_input(self, input_data: Any) -> Any:
            return "theirs"

    assert faster(Own(np.zeros(1))).deserialize_input([1]) == "theirs"


@pytest.mark.parametrize("orient", ["records", "split", "values", "columns", "index"])
def test_a_frame_is_that_of_the_type_alone(orient: Any) -> None:
    frame = pd.DataFrame({
        "number": [0.1, 1 / 3, 123456.789, 2.5], "tiny": [1e-7, 5e-324, 1e22, 0.0], "whole": [1, 2**53, -5, 0],
        "text": ["a", "é\x7f", "2020-01-01", '"\\/'], "flag": [True, False, True, False], "gap": [1.5, None, 2.5, None],
    })  # fmt: skip
    rows = json.loads(frame.to_json(orient=orient, double_precision=15))
    kind = PandasParameterType(frame, orient=orient)
    for wanted_rows in (rows, json.loads(frame[["number", "whole", "flag"]].to_json(orient=orient))):
        kind = PandasParameterType(frame, orient=orient, enforce_shape=False, enforce_column_type=False)
        wanted = kind.deserialize_input(wanted_rows)
        before = pandas_parameter_type.json
        fast_schema.make_faster([kind])
        assert pandas_parameter_type.json is not before
        pd.testing.assert_frame_equal(kind.deserialize_input(wanted_rows), wanted, check_exact=True)
        pandas_parameter_type.json = before


_VALUES = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=5), st.booleans(), st.none(), st.just("2020-01-01")
)
_NAMES = st.sampled_from(["a", "b", "1", "2020", "date", "sold_at", "2021-05-06", ""])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.dictionaries(_NAMES, _VALUES, max_size=3), max_size=3)
    | st.dictionaries(_NAMES, _VALUES, min_size=1, max_size=3).map(lambda row: [row, dict(row)]),
    st.sampled_from([{"a": [1.5], "b": ["x"]}, {"a": [1], "date": ["x"]}, {"1": [True], "sold_at": [1.5]}]),
    st.booleans(),
    st.booleans(),
)
def test_frames_of_any_records_or_their_errors_are_those_of_the_type_alone(
    rows: list[dict[str, Any]], sample: dict[str, list[Any]], enforce_type: bool, enforce_shape: bool
) -> None:
    def told(kind: Any) -> Any:
        try:
            return kind.deserialize_input(json.loads(json.dumps(rows)))
        except Exception as error:
            return type(error), str(error)

    def kind() -> Any:
        return PandasParameterType(pd.DataFrame(sample), enforce_type, enforce_shape)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = told(kind())
        quick = faster(kind())
        for _ in range(2):  # the second one knows the names
            found = told(quick)
            if isinstance(wanted, tuple):
                assert found == wanted
            else:
                pd.testing.assert_frame_equal(found, wanted, check_exact=True)


def test_a_frame_whose_names_are_known_is_made_without_the_slow_way() -> None:
    rows = [{"a": 0.1234567890123456, "b": 3, "c": "x"}, {"b": 4, "a": 1, "c": "y"}]
    kind = PandasParameterType(pd.DataFrame({"a": [1.5], "b": [1], "c": ["x"]}))
    wanted = kind.deserialize_input(rows)
    faster(kind).deserialize_input(rows)
    with patch.object(pd, "read_json", side_effect=AssertionError):
        pd.testing.assert_frame_equal(kind.deserialize_input(rows), wanted, check_exact=True)
        with pytest.raises(AssertionError):
            kind.deserialize_input([{"b": 3, "a": 0.5, "c": "x"}])  # another order of the columns


def test_of_many_orders_of_columns_those_sent_last_are_known() -> None:
    kind = faster(PandasParameterType(pd.DataFrame({name: [1.5] for name in "abcd"})))
    rows = [[dict.fromkeys(order, 0.5)] for order in permutations("abcd")]
    for one in rows:
        kind.deserialize_input(one)
    with patch.object(pd, "read_json", side_effect=AssertionError):
        for one in rows[-16:]:
            assert list(kind.deserialize_input(one).columns) == list(one[0])
        with pytest.raises(AssertionError):
            kind.deserialize_input(rows[0])


@pytest.mark.parametrize(
    ("version", "compared"),
    [
        *(("1.8", True), ("1.5.1", True), ("1.10rc1", True), ("2", True)),
        *(("1.5", False), ("1.5.0", False), ("1.3.9", False), ("unknown", False), (None, False)),
    ],
)
def test_frames_are_made_the_fast_way_only_by_versions_that_it_was_compared_with(
    version: str | None, compared: bool
) -> None:
    said = {"side_effect": metadata.PackageNotFoundError} if version is None else {"return_value": version}
    kind = PandasParameterType(pd.DataFrame({"a": [1.5]}))
    if not compared:
        del kind.apply_column_names  # an old one need not have the settings of today
    with patch("importlib.metadata.version", **said):
        faster(kind)
    assert (kind.deserialize_input != PandasParameterType.deserialize_input.__get__(kind)) is compared


def test_without_fast_json_the_types_stay_as_they_are() -> None:
    kind = NumpyParameterType(np.zeros(1))
    with patch("mljupyter.scoring.worker.fast_json._library", None):
        fast_schema.make_faster([kind, PandasParameterType(pd.DataFrame({"a": [1]}))])
    assert "deserialize_input" not in vars(kind)
    assert pandas_parameter_type.json is json
