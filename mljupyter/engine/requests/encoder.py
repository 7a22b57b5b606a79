"""Encoder of request data: tables, arrays and Python values become JSON, exactly, or are refused by name.

A table becomes ``{"data": rows}``, each row a list, or an object by the names of the columns where the endpoint takes
rows like that: then the order of the columns does not matter, and a wrong name is noticed. The value of a cell does not
depend on the other columns:

- integers of any size are integers, floating-point numbers keep every bit, booleans stay booleans;
- NaN, NaT, NA and None are null; infinity is refused, JSON has none;
- dates, times and periods are text in ISO 8601, with their zone's offset and all digits of the second;
- a Decimal is text with all its digits; categories are their values; nested values are lists and objects.

numpy, pandas, scipy and pyarrow are never imported here: a value of theirs is there only if they are.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from mljupyter.exceptions import UserErrorException

_NO_VALUES = ("NAType", "NaTType")
_DOUBLE_BYTES = 8
_NANOSECONDS = {"W": 604_800_000_000_000, "D": 86_400_000_000_000, "h": 3_600_000_000_000, "m": 60_000_000_000}
_NANOSECONDS |= {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}


class EncodingError(UserErrorException):
    """A value cannot be sent as JSON without a change of its meaning."""


def request_text(value: Any, *, by_name: bool = False) -> str:
    """Return the text of a request for a value: text as it is, everything else as JSON.

    Parameters:
        value: text, bytes in UTF-8, a table (`is_table`), or Python values.
        by_name: write the rows of a table with named columns as objects.

    Raises:
        EncodingError: something in it has no exact form in JSON; the message names the column and the type.

    Example:
        >>> request_text({"data": [[1, None]]})
        '{"data": [[1, null]]}'

    """
    if isinstance(value, str):
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise EncodingError(f"character {error.start} is half of a pair, which UTF-8 does not have") from None
        return value
    if isinstance(value, (bytes, bytearray)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise EncodingError("it holds bytes that are not UTF-8 text") from None
    try:
        return json.dumps(
            {"data": rows_of(value, by_name=by_name)} if is_table(value) else json_value(value), allow_nan=False
        )
    except RecursionError:
        raise EncodingError("it is circular, or nested too deep") from None


def json_text(value: Any) -> str:
    """Return a value as JSON text, as `request_text` does; but text becomes a string of JSON.

    Raises:
        EncodingError: something in it has no exact form in JSON.

    Example:
        >>> json_text("a"), json_text([float("nan")])
        ('"a"', '[null]')

    """
    return json.dumps(value) if isinstance(value, str) else request_text(value)


def is_table(value: Any) -> bool:
    """Return whether a value has rows: a frame, series, index, array, sparse matrix, or table of pandas, numpy, scipy
    or pyarrow.
    """
    return _kind_of(value) != ""


def row_count(table: Any) -> int:
    """Return the number of rows of a table, as `rows_of` gives them."""
    if _kind_of(table) in ("sparse", "frame", "arrow table"):
        return int(table.shape[0])
    return 1 if _kind_of(table) == "series" else len(table)


def some_rows(table: Any, start: int, stop: int) -> Any:
    """Return a part of a table that has several rows."""
    kind = _kind_of(table)
    if kind == "frame":
        return table.iloc[start:stop]
    if kind.startswith("arrow"):
        return table.slice(start, stop - start)
    return table.tocsr()[start:stop] if kind == "sparse" else table[start:stop]


def rows_of(table: Any, *, by_name: bool = False) -> list[Any]:
    """Return the rows of a table as JSON values. A series is one row: that of a frame.

    Parameters:
        table: the table.
        by_name: write rows as objects, if the columns have names, each its own; otherwise they are lists.

    Raises:
        EncodingError: a column has values without an exact form in JSON.

    """
    kind = _kind_of(table)
    if kind == "frame":
        columns = [
            _named(f"column {name!r}", _column, table.iloc[:, place]) for place, name in enumerate(table.columns)
        ]
        return _rows(list(table.columns), columns, by_name) if columns else [[] for _ in range(len(table))]
    if kind == "arrow table":
        named = zip(table.column_names, table.columns, strict=True)
        columns = [_named(f"column {name!r}", _cells, column.to_pylist()) for name, column in named]
        return _rows(table.column_names, columns, by_name) if columns else [[] for _ in range(table.num_rows)]
    if kind == "series":
        names = list(table.index)
        return _rows(names, [[value] for value in _column(table)], by_name) if names else [[]]
    if kind == "column":
        return _column(table)
    if kind == "arrow column":
        return _cells(table.to_pylist())
    if kind == "sparse":
        return _array(table.toarray())  # type: ignore[no-any-return]
    return _array(table)  # type: ignore[no-any-return]


def _rows(names: Sequence[Any], columns: Sequence[Sequence[Any]], by_name: bool) -> list[Any]:
    rows = zip(*columns, strict=True)
    if by_name and all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        return [dict(zip(names, row, strict=True)) for row in rows]
    return [list(row) for row in rows]


def _kind_of(value: Any) -> str:
    pandas, numpy, arrow = (sys.modules.get(name) for name in ("pandas", "numpy", "pyarrow"))
    if pandas is not None and hasattr(pandas, "DataFrame"):
        if isinstance(value, pandas.DataFrame):
            return "frame"
        if isinstance(value, pandas.Series):
            return "series"
        if isinstance(value, (pandas.Index, pandas.api.extensions.ExtensionArray)):
            return "column"
    if numpy is not None and hasattr(numpy, "ndarray") and isinstance(value, numpy.ndarray) and value.ndim:
        return "array"
    if arrow is not None and hasattr(arrow, "Table"):
        if isinstance(value, (arrow.Table, arrow.RecordBatch)):
            return "arrow table"
        if isinstance(value, (arrow.Array, arrow.ChunkedArray)):
            return "arrow column"
    sparse = sys.modules.get("scipy.sparse")
    return "sparse" if sparse is not None and sparse.issparse(value) else ""


def _named(name: str, convert: Any, values: Any) -> list[Any]:
    try:
        return convert(values)  # type: ignore[no-any-return]
    except EncodingError as error:
        raise EncodingError(f"{name}: {error.message}") from None


def _cells(values: Iterable[Any]) -> list[Any]:
    found = []
    for place, value in enumerate(values):
        try:
            found.append(json_value(value))
        except EncodingError as error:
            raise EncodingError(f"row {place}: {error.message}") from None
    return found


def _column(values: Any) -> list[Any]:
    """Return the values of a column of pandas: a Series, an Index or an array."""
    import numpy as np
    import pandas as pd

    kind = values.dtype
    if isinstance(kind, pd.CategoricalDtype):
        array = values.array if hasattr(values, "array") else values
        known = _column(array.categories)
        return [None if code < 0 else known[code] for code in array.codes.tolist()]
    if isinstance(kind, pd.SparseDtype):
        return _column(pd.Series(np.asarray(values)))
    if isinstance(kind, np.dtype) and kind.kind not in "MmO":
        return _array(values.to_numpy())  # type: ignore[no-any-return]
    if (
        type(kind).__module__.startswith("pandas")
        and getattr(kind, "kind", "O") in "biuf"
        and hasattr(kind, "na_value")
    ):
        array = values.array if hasattr(values, "array") else values
        if hasattr(array, "_pa_array") or not hasattr(array, "to_numpy"):
            return _cells(array)
        return _cells(array.to_numpy(dtype=object, na_value=None).tolist())
    return _cells(values)


def _array(values: Any) -> Any:
    """Return the values of an array of numpy, as nested lists."""
    import numpy as np

    masked = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    plain = np.asarray(values)
    if plain.dtype.names:
        fields = [_array(plain[name]) for name in plain.dtype.names]
        return [list(row) for row in zip(*fields, strict=True)] if plain.ndim else fields
    kind = plain.dtype.kind
    if kind in "biu":
        found = plain
    elif kind == "f":
        found = _floats(plain, masked)
    elif kind == "U":
        found = plain
    elif kind in "Mm":
        found = _each(plain, _moments(plain) if kind == "M" else _durations(plain))
    elif kind in "OT":
        found = _each(plain, _cells(plain.ravel().tolist()))
    else:
        raise EncodingError(f"{plain.dtype} has no exact form in JSON")
    if masked is not None and masked.any():
        found = found.astype(object)
        found[masked] = None
    return found.tolist()


def _floats(values: Any, masked: Any) -> Any:
    """Return floating-point numbers; NaN becomes None.

    Each number of at most 64 bits is a Python float of the same value.
    """
    import numpy as np

    known = np.isfinite(values) if masked is None else np.isfinite(values) | masked
    if values.dtype.itemsize > _DOUBLE_BYTES:
        near = values.astype(np.float64)
        if not np.array_equal(near[known].astype(values.dtype), values[known]):
            raise EncodingError(f"a {values.dtype} has more digits than a number in JSON")
        values = near
    if known.all():
        return values
    if np.isinf(values if masked is None else values[~masked]).any():
        raise EncodingError("infinity, which JSON does not have")
    found = values.astype(object)
    found[~known] = None
    return found


def _each(like: Any, values: Sequence[Any]) -> Any:
    """Return an array of objects with the shape of another one."""
    import numpy as np

    found = np.empty(like.size, dtype=object)
    for place, value in enumerate(values):
        found[place] = value
    return found.reshape(like.shape)


def _moments(values: Any) -> list[str | None]:
    import numpy as np

    texts = np.datetime_as_string(values).ravel().tolist()
    return [None if text == "NaT" else text for text in texts]


def _durations(values: Any) -> list[str | None]:
    import numpy as np

    unit, count = np.datetime_data(values.dtype)
    if unit not in _NANOSECONDS:
        raise EncodingError(f"{values.dtype} has no exact form in JSON")
    lost = np.isnat(values).ravel().tolist()
    numbers = values.astype(np.int64).ravel().tolist()
    return [
        None if gone else _duration(number * count * _NANOSECONDS[unit])
        for number, gone in zip(numbers, lost, strict=True)
    ]


def _duration(nanoseconds: int) -> str:
    """Return a duration in ISO 8601, in the form of pandas."""
    sign = "-" if nanoseconds < 0 else ""
    seconds, rest = divmod(abs(nanoseconds), 1_000_000_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{sign}P{day}DT{hour}H{minute}M{second}{fraction}S"


def json_value(value: Any) -> Any:
    """Return a value, nested or not, as a JSON value.

    Raises:
        EncodingError: something in it has no exact form in JSON.

    """
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise EncodingError("infinity, which JSON does not have")
        return None if math.isnan(value) else float(value)
    if type(value).__name__ in _NO_VALUES:
        return None
    if isinstance(value, Decimal):
        if value.is_infinite():
            raise EncodingError("infinity, which JSON does not have")
        return None if value.is_nan() else str(value)
    if isinstance(value, dt.timedelta):
        return _duration(_nanoseconds_of(value))
    if isinstance(value, (dt.date, dt.time)):
        return _iso(value)
    if isinstance(value, Mapping):
        found = {_key(key): json_value(item) for key, item in value.items()}
        if len(found) < len(value):
            raise EncodingError("an object has two keys that are one text in JSON, such as 1 and '1'")
        return found
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, (str, int)):
        return value
    if isinstance(value, uuid.UUID) or type(value).__name__ == "Period":
        return str(value)
    return rows_of(value) if is_table(value) else _foreign(value)


def _iso(value: dt.date | dt.time) -> str:
    """Return a date or time in ISO 8601; an offset with seconds, of the time before zones, becomes UTC."""
    offset = value.utcoffset() if isinstance(value, dt.datetime) else None
    if isinstance(value, dt.datetime) and offset is not None and offset.seconds % 60:
        value = value.astimezone(dt.UTC)
    return value.isoformat()


def _nanoseconds_of(value: dt.timedelta) -> int:
    exact = getattr(value, "as_unit", None)  # of pandas, which has nanoseconds
    if callable(exact):
        return int(exact("ns").value)
    return (value.days * 86_400 + value.seconds) * 1_000_000_000 + value.microseconds * 1000


def _key(key: Any) -> str:
    """Return the key of an object, as JSON writes it."""
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, bool):
        return json.dumps(key)
    if isinstance(key, int):
        return str(int(key))
    if isinstance(key, float) and math.isfinite(key):
        return repr(float(key))
    raise EncodingError(f"a key of an object is a {type(key).__name__}")


def _foreign(value: Any) -> Any:
    """Return the value of a scalar of numpy, of a tensor, or of a date of another library."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "generic") and isinstance(value, (numpy.generic, numpy.ndarray)):
        return _array(numpy.asarray(value))
    for method in ("tolist", "isoformat"):
        convert = getattr(value, method, None)
        if callable(convert) and not isinstance(value, type):
            return json_value(convert())
    raise EncodingError(f"it contains a {type(value).__name__}")
