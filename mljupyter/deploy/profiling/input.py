"""The requests of a profile: one body for each row.

Azure: ``Model.profile``, argument ``input_dataset``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mljupyter.exceptions import WebserviceException

MOST_ROWS = 1_000_000
_HOW = "For example: input_data=json.dumps({'data': [[1, 2, 3]]}), or a data frame with one column of such texts."


def bodies(input_dataset: Any, input_data: str | Sequence[str] | None) -> list[bytes]:
    """Return the request bodies.

    Parameters:
        input_dataset: a data frame with exactly one column of text and at least one row, or a dataset that has
            `to_pandas_dataframe`.
        input_data: one body, or a list of them.

    Raises:
        WebserviceException: none or both are given, or a row is not text.

    """
    if isinstance(input_dataset, str) and input_data is None:
        input_dataset, input_data = None, input_dataset  # as in SDK 1.0
    if (input_dataset is None) == (input_data is None):
        which = "both" if input_dataset is not None else "neither"
        raise WebserviceException(f"Give input_dataset or input_data; {which} is given. {_HOW}")
    rows = _column(input_dataset) if input_dataset is not None else _listed(input_data)
    if not rows:
        raise WebserviceException(f"There is no row to send: a profile needs at least one. {_HOW}")
    if len(rows) > MOST_ROWS:
        raise WebserviceException(f"{len(rows):,} rows are too many for a profile: at most {MOST_ROWS:,}.")
    for number, row in enumerate(rows):
        if not isinstance(row, str):
            raise WebserviceException(f"Row {number} is a {type(row).__name__}: each row must be a string. {_HOW}")
    return [row.encode() for row in rows]


def _listed(data: Any) -> list[Any]:
    if isinstance(data, str):
        return [data]
    if not isinstance(data, (list, tuple)):
        raise WebserviceException(
            f"input_data is a {type(data).__name__}: it must be a string, or a list of strings. {_HOW}"
        )
    return list(data)


def _column(dataset: Any) -> list[Any]:
    frame = dataset.to_pandas_dataframe() if hasattr(dataset, "to_pandas_dataframe") else dataset
    columns = getattr(frame, "columns", None)
    if columns is None or not hasattr(frame, "iloc"):
        raise WebserviceException(
            f"input_dataset is a {type(dataset).__name__}: it must be a tabular dataset or a data frame. {_HOW}"
        )
    if len(columns) != 1:
        raise WebserviceException(f"input_dataset has {len(columns)} columns: exactly one, of request bodies. {_HOW}")
    return list(frame.iloc[:, 0])
