"""Rows of requests as a generated scoring script takes them: checked, with the reason for a client if they do not fit.

Only generated scripts import this module: it needs NumPy and the package `inference-schema`, and pandas for frames.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import (  # type: ignore[import-untyped, unused-ignore]
    NumpyParameterType,
)
from inference_schema.parameter_types.pandas_parameter_type import (  # type: ignore[import-untyped, unused-ignore]
    PandasParameterType,
)

from mljupyter.scoring.columns import MOST_NAMES, columns_text, missing_text, names_text, unknown_text

IGNORE, REFUSE = "ignore", "refuse"
"""The values of `extra`: columns that the model does not know are left out, or the request is refused."""

_MOST_TEXT = 60
_MOST_ROWS_TRIED = 1000
_MOST_EXACT = 2**53  # whole numbers up to it are floating-point numbers, too


class RowsError(ValueError):
    """The rows of a request do not fit the model. The client gets status 400 with the text."""

    mljupyter_status = 400


class _CellError(Exception):
    """A single value does not fit; the text says why."""


class ArrayRows(NumpyParameterType):  # type: ignore[misc, unused-ignore]
    """Rows as an array: numbers or texts, each row in the shape of the sample's rows.

    Parameters:
        sample: an array with one row.
        nulls: whether ``null`` stands for a missing number: for all values, for none, or for some positions in a row.

    """

    def __init__(self, sample: Any, nulls: bool | Sequence[int] = False) -> None:
        # Types of texts are not enforced: the type of this sample would cut longer texts off.
        super().__init__(sample, enforce_column_type=sample.dtype.kind != "U")
        self._shape = sample.shape[1:]
        self._type = sample.dtype
        width = self._shape[0] if len(self._shape) == 1 else 0
        self._nulls = set(range(width)) if nulls is True else set(nulls or ())
        self._nulls_anywhere = nulls is True

    def deserialize_input(self, input_data: Any) -> Any:
        """Return the rows as an array; raise RowsError for the first value that does not fit."""
        if isinstance(input_data, np.ndarray):
            return input_data
        rows = _rows(input_data, self._expected())
        array = self._quickly(rows)
        return self._slowly(rows) if array is None else array

    def apply(self, method: Callable[[Any], Any], rows: Any) -> Any:
        """Return the result of a method for rows; raise RowsError if they are the reason why the method fails."""
        return _applied(method, rows, self.sample_input)

    def _expected(self) -> str:
        kind = "texts" if self._type.kind == "U" else "numbers"
        if not self._shape:
            return f"a list of {kind}"
        if len(self._shape) == 1:
            return f"each row is a list of {self._shape[0]} {kind}"
        return f"each row is {kind} of the shape {' x '.join(map(str, self._shape))}"

    def _quickly(self, rows: list[Any]) -> Any:
        """Return the array if all rows fit; None if any may not."""
        try:
            array = np.array(rows)
        except (ValueError, OverflowError):
            return None
        if array.shape[1:] != self._shape:
            return None
        if self._type.kind == "U":
            return array if array.dtype.kind == "U" and _all_texts(rows) else None
        return _numbers(array, self._type, nulls=self._nulls_anywhere)

    def _slowly(self, rows: list[Any]) -> Any:
        for number, row in enumerate(rows):
            self._check_shape(number, row, self._shape, "")
        cells = [self._cells(number, row, self._shape, ()) for number, row in enumerate(rows)]
        return np.array(cells) if self._type.kind == "U" else np.array(cells, dtype=self._type)

    def _check_shape(self, number: int, row: Any, shape: tuple[int, ...], where: str) -> None:
        if not shape:
            return
        if isinstance(row, dict):
            raise RowsError(
                f"Row {number} is an object by column, but the model was fitted without names of columns: "
                f"{self._expected()}, in the order it was fitted with."
            )
        if not isinstance(row, list):
            raise RowsError(f"Row {number}{where} is {_shown(row)}, not a list: {self._expected()}.")
        if len(row) != shape[0]:
            has = f"{len(row)} value{'' if len(row) == 1 else 's'}"
            raise RowsError(f"Row {number}{where} has {has}, not {shape[0]}: {self._expected()}.")
        for place, part in enumerate(row if len(shape) > 1 else ()):
            self._check_shape(number, part, shape[1:], f"{where}[{place}]")

    def _cells(self, number: int, value: Any, shape: tuple[int, ...], place: tuple[int, ...]) -> Any:
        if shape:
            return [self._cells(number, part, shape[1:], (*place, index)) for index, part in enumerate(value)]
        try:
            if self._type.kind == "U":
                return _text(value, null=False)
            null = self._nulls_anywhere or bool(place and place[0] in self._nulls)
            return _number(value, null=null, kind=self._type)
        except _CellError as error:
            where = f", column {', '.join(map(str, place))}" if place else ""
            raise RowsError(f"Row {number}{where}: {error}; {self._expected()}.") from None


class FrameRows(PandasParameterType):  # type: ignore[misc, unused-ignore]
    """Rows as a data frame: objects by column in any order, or lists in the order of the columns.

    Parameters:
        sample: a data frame with one row; it has the names and types of all columns.
        nulls: whether ``null`` stands for a missing value: in all columns, in none, or in some.
        unused: columns that the model does not use. They are not required, and not passed to it.
        extra: ``ignore`` to leave out values of unknown columns, ``refuse`` to refuse the request.

    """

    def __init__(
        self, sample: Any, nulls: bool | Sequence[str] = False, unused: Sequence[str] = (), extra: str = IGNORE
    ) -> None:
        super().__init__(sample)
        self._columns = list(sample.columns)
        self._used = [name for name in self._columns if name not in unused]
        self._places = [self._columns.index(name) for name in self._used]
        self._types = {name: sample[name].dtype for name in self._used}
        self._texts = {name for name in self._used if isinstance(sample[name].iloc[0], str)}
        self._nulls = set(self._used) if nulls is True else set(nulls or ())
        self._refuse = extra == REFUSE

    @property
    def used_columns(self) -> list[str]:
        """The columns that a request must have."""
        return self._used

    def deserialize_input(self, input_data: Any) -> Any:
        """Return the rows as a data frame; raise RowsError for the first value that does not fit."""
        import pandas as pd

        if isinstance(input_data, pd.DataFrame):
            return input_data
        rows = _rows(
            input_data, f"each row is an object with {self._expected()}, or a list in the order of its columns"
        )
        cells = [self._row(number, row) for number, row in enumerate(rows)]
        columns = zip(*cells)  # noqa: B905 (Python 3.9 has no strict)
        return pd.DataFrame(
            {name: self._column(name, values) for name, values in zip(self._used, columns)}  # noqa: B905 (as above)
        )

    def apply(self, method: Callable[[Any], Any], rows: Any) -> Any:
        """Return the result of a method for rows; raise RowsError if they are the reason why the method fails."""
        return _applied(method, rows, self.sample_input[self._used])

    def _expected(self) -> str:
        return columns_text(self._used)

    def _row(self, number: int, row: Any) -> list[Any]:
        if isinstance(row, list):
            if len(row) != len(self._columns):
                has = f"{len(row)} value{'' if len(row) == 1 else 's'}"
                raise RowsError(
                    f"Row {number} has {has}, not {len(self._columns)}: a list has {columns_text(self._columns)}."
                )
            return [row[place] for place in self._places]
        if not isinstance(row, dict):
            raise RowsError(
                f"Row {number} is {_shown(row)}: a row is an object with {self._expected()}, or a list in their order."
            )
        if self._refuse:
            extra = [name for name in row if name not in self._columns]
            if extra:
                if any(name not in row for name in self._used):
                    raise RowsError(f"Row {number} {missing_text(row, self._used, self._columns)}.")
                may = names_text(self._columns, MOST_NAMES)
                raise RowsError(f"Row {number} has {unknown_text(extra, self._columns)}: it may have {may}.")
        try:
            return [row[name] for name in self._used]
        except KeyError:
            raise RowsError(f"Row {number} {missing_text(row, self._used, self._columns)}.") from None

    def _column(self, name: str, values: tuple[Any, ...]) -> Any:
        import pandas as pd

        kind = self._types[name]
        null = name in self._nulls
        if getattr(kind, "kind", "O") in "iuf" and (found := _quick_numbers(values, kind, nulls=null)) is not None:
            return found
        cells = []
        for number, value in enumerate(values):
            try:
                cells.append(self._cell(name, value, null=null))
            except _CellError as error:
                raise RowsError(f"Row {number}, column {name!r}: {error}; expected {self._wanted(name)}.") from None
        if isinstance(kind, pd.DatetimeTZDtype):
            return pd.to_datetime(pd.Series(cells, dtype=object), utc=True).astype(kind)
        return pd.Series(cells, dtype=kind)

    def _cell(self, name: str, value: Any, *, null: bool) -> Any:
        import pandas as pd

        kind = self._types[name]
        code = getattr(kind, "kind", "O")
        if isinstance(kind, pd.CategoricalDtype):
            return _category(value, kind.categories, null=null)
        if code == "M":
            return _date(value, isinstance(kind, pd.DatetimeTZDtype), null=null)
        if code == "b":
            if value is True or value is False or (isinstance(value, (int, float)) and value in (0, 1)):
                return bool(value)
            raise _CellError(f"{_shown(value)} is neither true nor false")
        if code in "iuf":
            return _number(value, null=null, kind=kind)
        return _text(value, null=null) if name in self._texts else value

    def _wanted(self, name: str) -> str:
        import pandas as pd

        kind = self._types[name]
        code = getattr(kind, "kind", "O")
        if isinstance(kind, pd.CategoricalDtype):
            return f"one of {names_text(kind.categories)}"
        texts = {"M": "a date and time in ISO 8601", "b": "true or false", "f": "a number", "i": "a whole number"}
        wanted = texts.get(code, "a text")
        return f"{wanted} or null" if name in self._nulls else wanted


def _rows(data: Any, expected: str) -> list[Any]:
    if not isinstance(data, list):
        raise RowsError(f'"data" is {_shown(data)}, not a list of rows: {expected}.')
    if not data:
        raise RowsError(f'"data" has no rows: {expected}.')
    return data


def _applied(method: Callable[[Any], Any], rows: Any, sample: Any) -> Any:
    """Call a method of a model. If it fails for these rows, and not for the sample, the rows are the reason."""
    try:
        return method(rows)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - frameworks have errors of their own
        reason = error
        try:
            method(sample)
        except Exception:  # noqa: BLE001 - the model fails for every request, so that the rows are not the reason
            raise reason from None
    number = _first_refused(method, rows)
    if number is None:
        raise reason
    where = f"Row {number}"
    text = (str(reason).strip().splitlines() or [type(reason).__name__])[0][:200]
    raise RowsError(f"{where} cannot be answered by the model: {text}") from reason


def _first_refused(method: Callable[[Any], Any], rows: Any) -> int | None:
    for number in range(min(len(rows), _MOST_ROWS_TRIED)):
        try:
            method(rows.iloc[number : number + 1] if hasattr(rows, "iloc") else rows[number : number + 1])
        except Exception:  # noqa: BLE001 - whatever it is, this row causes it
            return number
    return None


def _quick_numbers(values: tuple[Any, ...], kind: Any, *, nulls: bool) -> Any:
    try:
        array = np.array(values)
    except (ValueError, OverflowError):
        return None
    if array.dtype.kind in "fO" and all(type(value) is int for value in values):
        try:
            array = np.array(values, dtype=np.uint64)  # NumPy makes floats of whole numbers on both sides of 2**63
        except (OverflowError, ValueError):
            return None
    return _numbers(array, kind, nulls=nulls) if array.ndim == 1 else None


def _numbers(array: Any, kind: Any, *, nulls: bool) -> Any:
    """Return an array in a type of numbers; None if some value is no number, or does not fit the type."""
    if array.dtype.kind not in "iufb":
        return None
    if kind.kind != "f":
        return array.astype(kind) if array.dtype.kind in "iub" and np.can_cast(array.dtype, np.int64) else None
    if (
        array.dtype.kind in "iu"
        and array.size
        and not -_MOST_EXACT <= int(array.min()) <= int(array.max()) <= _MOST_EXACT
    ):
        return array  # a column of large whole numbers, such as ids: a float would be another number
    with np.errstate(over="ignore"):
        found = array.astype(kind)
    fits = not np.isinf(found).any() if nulls else np.isfinite(found).all()
    return found if fits else None


def _number(value: Any, *, null: bool, kind: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if null and kind.kind == "f":
            return math.nan
        raise _CellError("there is no value, and the model takes no missing ones here")
    if not isinstance(value, (int, float)):
        raise _CellError(f"{_shown(value)} is not a number")
    bounds = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    if not float(bounds.min) <= value <= float(bounds.max):
        raise _CellError(f"{_shown(value)} is too large for {kind}")
    if kind.kind == "f":
        return float(value)
    if value != int(value):
        raise _CellError(f"{_shown(value)} is not a whole number")
    return int(value)


def _text(value: Any, *, null: bool) -> Any:
    if isinstance(value, str) or (value is None and null):
        return value
    if value is None:
        raise _CellError("there is no value, and the model takes no missing ones here")
    raise _CellError(f"{_shown(value)} is not a text")


def _category(value: Any, known: Any, *, null: bool) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if null:
            return None
        raise _CellError("there is no value, and the model takes no missing ones here")
    if isinstance(value, (list, dict)) or (value not in known and not null):
        raise _CellError(f"{_shown(value)} is unknown to the model")
    return value


def _date(value: Any, zoned: bool, *, null: bool) -> Any:
    import pandas as pd

    if value is None and null:
        return pd.NaT
    try:
        if not isinstance(value, str):
            raise ValueError
        date = pd.Timestamp(value)
    except (ValueError, OverflowError):
        raise _CellError(f"{_shown(value)} is not a date and time") from None
    if pd.isna(date):
        raise _CellError("there is no value")
    if (date.tz is not None) != zoned:
        raise _CellError(f"{_shown(value)} has {'no' if zoned else 'a'} time zone")
    return date


def _all_texts(value: Any) -> bool:
    return all(_all_texts(part) for part in value) if isinstance(value, list) else isinstance(value, str)


def _shown(value: Any) -> str:
    """Return a JSON value for a message, long ones cut."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
