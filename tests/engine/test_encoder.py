"""Encoder of request data: what run() receives is what the frame holds, for every dtype, whatever the other columns."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from mljupyter.engine.requests.encoder import EncodingError, is_table, request_text, row_count, rows_of, some_rows

BERLIN = "Europe/Berlin"
NAN = float("nan")
floats = st.floats(allow_infinity=False) | st.none()
instants = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)) | st.none()


def seconds(text: str) -> Any:
    return pd.Timedelta(text)


def missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


# For each dtype: values, and what turns a received value back into that of the frame.
DTYPES: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], Any]]] = {
    **{
        f"{sign}int{bits}": (
            st.integers(*((0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))),
            lambda got: got if type(got) is int else "no integer",
        )
        for bits in (8, 16, 32, 64)
        for sign in ("", "u")
    },
    "float64": (floats, float),
    "float32": (st.floats(width=32, allow_infinity=False) | st.none(), np.float32),
    "float16": (st.floats(width=16, allow_infinity=False) | st.none(), np.float16),
    "bool": (st.booleans(), lambda got: got if type(got) is bool else "no boolean"),
    "Int64": (st.integers(-(2**63), 2**63 - 1) | st.none(), lambda got: got if type(got) is int else "no integer"),
    "UInt8": (st.integers(0, 255) | st.none(), int),
    "Float64": (floats, float),
    "boolean": (st.booleans() | st.none(), lambda got: got if type(got) is bool else "no boolean"),
    "string": (st.text() | st.none(), str),
    "object": (st.text() | st.integers() | st.booleans() | st.none(), lambda got: got),
    "category": (st.sampled_from(["a", "b", "c"]) | st.none(), str),
    "datetime64[ns]": (instants, pd.Timestamp),
    "datetime64[s]": (instants.map(lambda at: at and at.replace(microsecond=0)), pd.Timestamp),
    f"datetime64[ns, {BERLIN}]": (
        instants.map(lambda at: at and pd.Timestamp(at, tz="UTC").tz_convert(BERLIN)),
        lambda got: pd.Timestamp(got).tz_convert(BERLIN),
    ),
    "timedelta64[ns]": (st.timedeltas(dt.timedelta(-9000), dt.timedelta(9000)) | st.none(), seconds),
    "period[D]": (instants.map(lambda at: at and pd.Period(at, "D")), lambda got: pd.Period(got, "D")),
    "Sparse[float64]": (floats, float),
    "int64[pyarrow]": (st.integers(-(2**63), 2**63 - 1) | st.none(), int),
    "double[pyarrow]": (floats, float),
    "string[pyarrow]": (st.text() | st.none(), str),
    "timestamp[us][pyarrow]": (instants, pd.Timestamp),
}


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    """Frames of a few columns, each of another dtype."""
    kinds = draw(st.lists(st.sampled_from(sorted(DTYPES)), min_size=1, max_size=4))
    rows = draw(st.integers(0, 4))
    columns = [
        pd.Series(draw(st.lists(DTYPES[kind][0], min_size=rows, max_size=rows)), dtype=kind, name=kind)
        for kind in kinds
    ]
    return pd.concat(columns, axis=1)


@settings(max_examples=150, deadline=None)
@given(frames())
def test_what_is_received_is_what_the_frame_holds(frame: pd.DataFrame) -> None:
    received = json.loads(request_text(frame), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))["data"]
    assert len(received) == len(frame)
    for place, kind in enumerate(frame.columns):
        for got, held in zip((row[place] for row in received), frame.iloc[:, place], strict=True):
            if missing(held):
                assert got is None
            else:
                assert DTYPES[kind][1](got) == held


@pytest.mark.parametrize(
    ("frame", "rows"),
    [
        # The inputs of the case; the right values are those of pandas' own to_json(orient="values", date_format="iso").
        ({"id": [9007199254740993], "x": [0.5]}, [[9007199254740993, 0.5]]),
        ({"n": [1], "x": [0.5]}, [[1, 0.5]]),
        ({"a": pd.array([2**63], dtype="uint64"), "b": [-1]}, [[9223372036854775808, -1]]),
        ({"t": pd.to_datetime(["2024-01-02"])}, [["2024-01-02T00:00:00"]]),
        ({"t": pd.to_datetime(["2024-01-02"]), "x": [1.0]}, [["2024-01-02T00:00:00", 1.0]]),
        ({"t": [pd.Timestamp("2024-01-02"), pd.NaT], "x": [1, 2]}, [["2024-01-02T00:00:00", 1], [None, 2]]),
        # Nested values, decimals, nanoseconds, names that occur twice.
        ({"d": [Decimal("1.10")], "n": [[1, {"a": np.int8(2)}]]}, [["1.10", [1, {"a": 2}]]]),
        ({"t": [pd.Timestamp(1, unit="ns")]}, [["1970-01-01T00:00:00.000000001"]]),
        ({"t": [pd.Timedelta(1, unit="ns")]}, [["P0DT0H0M0.000000001S"]]),
        ({"x": pd.Categorical([2.5, None], categories=[2.5])}, [[2.5], [None]]),
        ({"x": pd.Series([1, None], dtype="int64[pyarrow]")}, [[1], [None]]),
        ({"u": [uuid.UUID(int=1)]}, [["00000000-0000-0000-0000-000000000001"]]),
        ({}, []),
    ],
)
def test_a_column_does_not_change_another_one(frame: Any, rows: Any) -> None:
    assert json.loads(request_text(pd.DataFrame(frame))) == {"data": rows}


def test_columns_of_one_name_are_both_sent() -> None:
    assert rows_of(pd.DataFrame([[1, 0.5]], columns=["a", "a"])) == [[1.0, 0.5]]


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        (np.array([[1, 2]], dtype="uint64"), [[1, 2]]),
        (np.array([[0.5, NAN]], dtype="float32"), [[0.5, None]]),
        (np.array([[[1.0], [NAN]]]), [[[1.0], [None]]]),
        (np.array(["2024-01-02", "NaT"], dtype="datetime64[D]"), ["2024-01-02", None]),
        (np.array([90, "NaT"], dtype="timedelta64[s]"), ["P0DT0H1M30S", None]),
        (np.array([(1, 0.5)], dtype=[("a", "i8"), ("b", "f4")]), [[1, 0.5]]),
        (np.ma.masked_array([1, 2], mask=[False, True]), [1, None]),
        (np.array([1, "a", None, Decimal("0.1")], dtype=object), [1, "a", None, "0.1"]),
        (np.array([np.longdouble(1) / 2]), [0.5]),
        (scipy.sparse.csr_matrix([[0, 2], [3, 0]]), [[0, 2], [3, 0]]),
        (scipy.sparse.coo_array([[0.0, 0.5]]), [[0.0, 0.5]]),
        (pd.Series([1, 2]), [[1, 2]]),
        (pd.Series([1, None], dtype="Int8"), [[1, None]]),
        (pd.Index([1, 2]), [1, 2]),
        (pa.table({"a": [1, None], "b": [Decimal("1.5"), None]}), [[1, "1.5"], [None, None]]),
        (pa.record_batch({"t": [dt.date(2024, 1, 2)], "s": [{"x": [1]}]}), [["2024-01-02", {"x": [1]}]]),
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    ],
)
def test_every_kind_of_table_has_rows(value: Any, rows: Any) -> None:
    assert is_table(value)
    assert json.loads(request_text(value)) == {"data": rows}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (pd.DataFrame({"a": [1j]}), "column 'a': complex128 has no exact form in JSON"),
        (pd.DataFrame({"a": [1.0, float("inf")]}), "column 'a': infinity, which JSON does not have"),
        (pd.DataFrame({"a": [b"x"]}), "column 'a': row 0: it contains a bytes"),
        (pd.DataFrame({"a": [pd.Interval(0, 1)]}), "column 'a': row 0: it contains a Interval"),
        (pd.DataFrame({"a": [1, {2}]}), "column 'a': row 1: it contains a set"),
        (np.array([np.longdouble(1) / 3]), "longdouble|float128"),
        (pa.table({"a": [b"x"]}), "column 'a': row 0: it contains a bytes"),
        ({"a": [float("-inf")]}, "infinity"),
        ({(1, 2): 3}, "a key of an object is a tuple"),
        ({1: 2, "1": 3}, "an object has two keys that are one text in JSON"),
        ([{True: 2, "true": 3}], "an object has two keys that are one text in JSON"),
        ("a\ud800", "character 1 is half of a pair, which UTF-8 does not have"),
    ],
)
def test_what_has_no_exact_form_is_refused_by_name(value: Any, said: str) -> None:
    with pytest.raises(EncodingError, match=said):
        request_text(value)


@pytest.mark.parametrize("key", [1, 1.5, True, None, "a", np.float64(2)])
def test_keys_of_objects_are_written_as_the_json_module_does(key: Any) -> None:
    assert request_text({key: 1}) == json.dumps({key: 1})


def test_what_is_circular_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EncodingError, match="circular"):
        request_text(endless)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": range(5)}),
        np.arange(5),
        scipy.sparse.coo_matrix(np.eye(5)),
        pa.table({"a": range(5)}),
        pa.array(range(5)),
    ],
)
def test_parts_of_a_table_are_its_rows_in_order(table: Any) -> None:
    assert row_count(table) == 5
    assert rows_of(some_rows(table, 0, 2)) + rows_of(some_rows(table, 2, 5)) == rows_of(table)
