"""Input schema of an estimator: one sample row, as an array or as a data frame with named columns."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from mljupyter.deploy.estimator.checks import EstimatorError

_NUMBERS = "iuf"


def input_row(estimator: Any, sample: Any, name: str) -> Any:
    """Return one sample row of requests: a NumPy array or a pandas data frame.

    Names and types of the columns are those of the sample. Without a sample they come from ``feature_names_in_`` or
    ``n_features_in_``, which scikit-learn sets when an estimator is fitted; then all columns are numbers. Integers
    become floats: a schema of integers would cut off fractions silently.

    Parameters:
        estimator: a fitted estimator.
        sample: rows of the data that it was fitted with; None if there are none.
        name: its name in error messages.

    Raises:
        EstimatorError: the sample does not fit, or it is missing and the estimator does not know its columns.

    """
    if sample is None:
        return _row_from_attributes(estimator, name)
    if _is_frame(sample):
        return _row_of_frame(estimator, sample)
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
    features = getattr(estimator, "n_features_in_", None)
    if rows.ndim == 1 and features is not None and features == len(rows):
        rows = rows.reshape(1, -1)
    names = feature_names(estimator)
    if names is not None and rows.ndim == 2 and rows.shape[1] == len(names):
        return _frame(names, rows[0].tolist())
    return np.nan_to_num(rows[:1])


def feature_names(estimator: Any) -> list[str] | None:
    """Return the names of the columns that an estimator was fitted with; None without names."""
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def output_for(estimator: Any, method: str, row: Any, name: str) -> Any:
    """Return the result of a method for the sample row.

    Raises:
        EstimatorError: the method raises, as it would in a replica.

    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(estimator, method)(row)
    except Exception as error:
        raise EstimatorError(
            f"{name}.{method}() fails on the sample row: {type(error).__name__}: {_line(error)}\n"
            "Give rows as it was fitted with: --sample X_train"
        ) from error


def _row_from_attributes(estimator: Any, name: str) -> Any:
    import numpy as np

    names = feature_names(estimator)
    features = getattr(estimator, "n_features_in_", None)
    if features is None or _chooses_by_type(estimator):
        raise EstimatorError(
            f"{name} does not know the types of its columns: give rows as it was fitted with, --sample X_train"
        )
    return np.zeros((1, features)) if names is None else _frame(names, [0.0] * len(names))


def _chooses_by_type(estimator: Any) -> bool:
    """Return whether columns are transformed differently: some may be text, so that a row of zeros would be wrong."""
    first = estimator
    while hasattr(first, "steps") and first.steps:
        first = first.steps[0][1]
    inner = getattr(first, "best_estimator_", None)
    if inner is not None:
        return _chooses_by_type(inner)
    return hasattr(first, "transformers") or hasattr(first, "categories_")


def _row_of_frame(estimator: Any, sample: Any) -> Any:
    import numpy as np

    if sample.empty:
        raise EstimatorError("The sample has no rows: give at least one.")
    numbers = all(getattr(kind, "kind", "O") in _NUMBERS for kind in sample.dtypes)
    if feature_names(estimator) is None and hasattr(estimator, "n_features_in_") and numbers:
        return np.nan_to_num(sample.to_numpy(dtype=float)[:1])  # it was fitted with the values only
    whole = sample.dropna()
    row = (whole if len(whole) else sample).iloc[:1].reset_index(drop=True)
    unnamed = [column for column in row.columns if not isinstance(column, str)]
    if unnamed:
        raise EstimatorError(f"The sample has a column named {unnamed[0]!r}: names of columns must be strings.")
    return row.astype({column: float for column in row.columns if getattr(row[column].dtype, "kind", "") in _NUMBERS})


def _frame(names: list[str], values: list[Any]) -> Any:
    import pandas as pd

    return pd.DataFrame([values], columns=names).fillna(0.0)


def _is_frame(sample: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(sample, pandas.DataFrame)


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else ""
