"""Input schema of an estimator: one sample row, as an array or a data frame, and the columns that may be missing."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from mljupyter.deploy.estimator.frameworks import ServingFormat
from mljupyter.deploy.estimator.problems import EstimatorError

_NUMBERS = "iuf"
_MOST_PROBED = 64


def input_row(estimator: Any, sample: Any, name: str, form: ServingFormat) -> Any:
    """Return one sample row of requests: a NumPy array or a pandas data frame.

    Names and types of the columns are those of the sample. Without a sample they come from ``feature_names_in_`` or
    ``n_features_in_``, which scikit-learn sets when an estimator is fitted; then all columns are numbers. Integers
    become floats: a schema of integers would cut off fractions silently.

    Parameters:
        estimator: a fitted estimator.
        sample: rows of the data that it was fitted with; None if there are none.
        name: its name in error messages.
        form: how it is saved and called, with what it knows of its input.

    Raises:
        EstimatorError: the sample does not fit, or it is missing and the estimator does not know its columns.

    """
    if sample is None:
        return _row_of_model(estimator, name, form)
    if _is_frame(sample):
        return _row_of_frame(sample, form)
    if form.shape is not None:
        return _row_in_shape(sample, form, name)
    import numpy as np

    try:
        rows = np.asarray(sample)
    except ValueError:
        rows = np.asarray(None)
    if rows.dtype.kind not in f"{_NUMBERS}bUO" or rows.ndim == 0:
        raise EstimatorError(f"The sample is a {type(sample).__name__}: give rows, as an array or a data frame.")
    if rows.size == 0:
        raise EstimatorError("The sample has no rows: give at least one.")
    if rows.dtype.kind in "UO" and all(isinstance(text, str) for text in rows.ravel().tolist()):
        return rows[:1].astype(str)  # texts, or rows of texts
    if rows.dtype.kind == "O":
        raise EstimatorError(
            "The sample is an array of mixed types: give a pandas DataFrame, which has one type for each column."
        )
    rows = rows.astype(float)
    if rows.ndim == 1 and form.width is not None and form.width == len(rows):
        rows = rows.reshape(1, -1)
    names = form.columns
    if names is not None and rows.ndim == 2 and rows.shape[1] == len(names):
        return _frame(names, rows[0].tolist())
    return np.nan_to_num(rows[:1])


def output_for(call: Callable[[Any], Any], row: Any, name: str, method: str = "predict") -> Any:
    """Return the result of a method for the sample row.

    Raises:
        EstimatorError: the method raises, as it would in a replica.

    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call(row)
    except EstimatorError:
        raise
    except Exception as error:
        raise EstimatorError(
            f"{name}.{method}() fails on the sample row: {type(error).__name__}: {_line(error)}\n"
            "Give rows as it was fitted with: --sample X_train"
        ) from error


def _row_of_model(estimator: Any, name: str, form: ServingFormat) -> Any:
    import numpy as np

    if form.rows is not None:
        return _row_of_frame(form.rows, form)
    if form.shape is not None:
        return np.full((1, *form.shape), "text") if form.dtype == "str" else np.zeros((1, *form.shape), form.dtype)
    if form.columns is not None and form.framed and form.width is None:
        return _frame(form.columns, ["" if column in form.texts else 0.0 for column in form.columns])
    if form.width is None or _chooses_by_type(estimator):
        raise EstimatorError(
            f"{name} does not know the types of its columns: give rows as it was fitted with, --sample X_train"
        )
    return np.zeros((1, form.width)) if form.columns is None else _frame(form.columns, [0.0] * len(form.columns))


def _row_in_shape(sample: Any, form: ServingFormat, name: str) -> Any:
    """Return the first row of a sample for a model that knows the shape of its rows."""
    import numpy as np

    if hasattr(sample, "detach"):
        sample = sample.detach().cpu().numpy()
    rows = np.asarray(sample)
    shape = form.shape or ()
    rows = rows[None] if rows.shape == shape else rows
    if rows.shape[1:] != shape or not len(rows):
        raise EstimatorError(f"{name} takes rows of the shape {shape}, and the sample has {rows.shape[1:]}: give rows.")
    if form.dtype == "str":
        return rows[:1].astype(str)
    if rows.dtype.kind not in f"{_NUMBERS}b":
        raise EstimatorError(f"{name} takes numbers, and the sample is of the type {rows.dtype}: give rows of numbers.")
    return np.nan_to_num(rows[:1].astype(form.dtype))


def unused_columns(estimator: Any, call: Callable[[Any], Any], row: Any) -> tuple[str, ...]:
    """Return the columns that a pipeline drops: no part of its first step, a ``ColumnTransformer``, takes them.

    Parameters:
        estimator: a fitted estimator of scikit-learn.
        call: its method.
        row: a data frame with one row.

    """
    first = _first_step(estimator)
    parts = getattr(first, "transformers_", None) if type(first).__name__ == "ColumnTransformer" else None
    names = [str(name) for name in getattr(first, "feature_names_in_", ())]
    if parts is None or names != list(row.columns):
        return ()
    used: set[str] = set()
    for _, transformer, columns in parts:
        if not (isinstance(transformer, str) and transformer == "drop"):
            used.update(_chosen(row, columns))
    unused = tuple(name for name in names if name not in used)
    return unused if unused and used and _answers(call, row[[name for name in names if name in used]]) else ()


def _chosen(row: Any, columns: Any) -> list[str]:
    """Return the names of the columns that a part of a ``ColumnTransformer`` takes."""
    one = columns[0] if isinstance(columns, list) and columns else columns
    by_name = isinstance(one, str) or (isinstance(columns, slice) and isinstance(columns.start or columns.stop, str))
    found = (row.loc if by_name else row.iloc)[:, [columns] if isinstance(columns, (str, int)) else columns]
    return [str(name) for name in found.columns]


def columns_with_missing(call: Callable[[Any], Any], row: Any) -> bool | tuple[Any, ...]:
    """Return the columns in which a model takes missing values: it answers, and the answer has no missing values.

    Parameters:
        call: the method of the model.
        row: an array or a data frame with one row.

    Returns:
        True for all, False for none; otherwise names, or positions in an array.

    """
    framed = not hasattr(row, "dtype")
    if not framed and (row.ndim != 2 or row.dtype.kind != "f"):
        return False
    columns = list(row.columns) if framed else list(range(row.shape[1]))
    if framed:
        columns = [name for name in columns if getattr(row[name].dtype, "kind", "O") != "b"]
    if not columns:
        return False
    if _answers(call, _without(row, columns)):
        return True if len(columns) == row.shape[1] else tuple(columns)
    if len(columns) > _MOST_PROBED or len(columns) == 1:
        return False
    return tuple(column for column in columns if _answers(call, _without(row, [column]))) or False


def _without(row: Any, columns: list[Any]) -> Any:
    import numpy as np
    import pandas as pd

    changed = row.copy()
    if hasattr(row, "dtype"):
        changed[:, columns] = np.nan
        return changed
    for name in columns:
        changed[name] = pd.Series([None], index=row.index, dtype=row[name].dtype)
    return changed


def _answers(call: Callable[[Any], Any], row: Any) -> bool:
    import numpy as np

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            answer = np.asarray(call(row))
    except Exception:  # noqa: BLE001 - a model may refuse a row with any error
        return False
    return answer.shape[:1] == (1,) and not (answer.dtype.kind == "f" and bool(np.isnan(answer).any()))


def _first_step(estimator: Any) -> Any:
    first = getattr(estimator, "best_estimator_", estimator)
    while hasattr(first, "steps") and first.steps:
        first = first.steps[0][1]
    return first


def _chooses_by_type(estimator: Any) -> bool:
    """Return whether columns are transformed differently: some may be text, so that a row of zeros would be wrong."""
    first = estimator
    while hasattr(first, "steps") and first.steps:
        first = first.steps[0][1]
    inner = getattr(first, "best_estimator_", None)
    if inner is not None:
        return _chooses_by_type(inner)
    return hasattr(first, "transformers") or hasattr(first, "categories_")


def _row_of_frame(sample: Any, form: ServingFormat) -> Any:
    import numpy as np

    if sample.empty:
        raise EstimatorError("The sample has no rows: give at least one.")
    numbers = all(getattr(kind, "kind", "O") in _NUMBERS for kind in sample.dtypes)
    if form.columns is None and form.width is not None and numbers:
        return np.nan_to_num(sample.to_numpy(dtype=float)[:1])  # it was fitted with the values only
    whole = sample.dropna()
    row = (whole if len(whole) else sample).iloc[:1].reset_index(drop=True)
    unnamed = [column for column in row.columns if not isinstance(column, str)]
    if unnamed:
        raise EstimatorError(f"The sample has a column named {unnamed[0]!r}: names of columns must be strings.")
    return row.astype({column: float for column in row.columns if getattr(row[column].dtype, "kind", "") in _NUMBERS})


def _frame(names: Sequence[str], values: list[Any]) -> Any:
    import pandas as pd

    return pd.DataFrame([values], columns=list(names)).fillna(0.0)


def _is_frame(sample: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(sample, pandas.DataFrame)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else ""
