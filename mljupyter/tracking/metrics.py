"""The values of metrics: from the arguments of the log functions to stored JSON, and to the answer of `get_metrics`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mljupyter.tracking.errors import TrackingError

Kind = Literal["scalar", "list", "row", "table", "image"]
_NOT_FINITE = "$float"  # JSON has no infinity and no NaN


@dataclass(frozen=True)
class Metric:
    """One call of a log function: the name of the metric, the kind of the call, and its stored value."""

    name: str
    kind: str
    value: Any
    step: int | None = None


def stored_scalar(name: str, value: Any) -> Any:
    """Return a number, text or truth value as JSON; scalars of NumPy and tensors of one element too.

    Raises:
        TrackingError: the value is of another type.

    Example:
        >>> stored_scalar("loss", float("nan"))
        {'$float': 'nan'}

    """
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {_NOT_FINITE: str(float(value))}
    if callable(item := getattr(value, "item", None)):
        try:
            return stored_scalar(name, item())
        except (TypeError, ValueError):
            pass
    raise TrackingError(
        f"The metric {name!r} has a value of type {type(value).__name__}. Rule: a number, a text or True or False; "
        "log_list takes lists, log_row and log_table take columns."
    )


def stored_list(name: str, values: Iterable[Any]) -> list[Any]:
    """Return the items of a list, tuple, array or series as JSON.

    Raises:
        TrackingError: it is not iterable, or an item is not a scalar.

    """
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise TrackingError(f"The metric {name!r} has a value of type {type(values).__name__}. Rule: a list.")
    return [stored_scalar(name, value) for value in values]


def stored_table(name: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a table as JSON; each is a list or a single value.

    Raises:
        TrackingError: it is not a dict, or a value is not a scalar.

    """
    if not isinstance(columns, Mapping):
        raise TrackingError(
            f"The metric {name!r} has a value of type {type(columns).__name__}. Rule: a dict from column to values."
        )
    single = (str, bytes)
    return {
        str(column): stored_list(name, values)
        if isinstance(values, Iterable) and not isinstance(values, single) and not _is_zero_dimensional(values)
        else stored_scalar(name, values)
        for column, values in columns.items()
    }


def merged(metrics: Iterable[Metric]) -> dict[str, Any]:
    """Return all metrics by name, as `get_metrics` answers (Azure ML v1: Run.get_metrics).

    A scalar that was logged once is that value, one that was logged more often is a list. Lists are joined. Rows become
    columns, with a list for each column once there are several rows; tables are joined in the same way.

    Example:
        >>> merged([Metric("loss", "scalar", 2), Metric("loss", "scalar", 1), Metric("n", "scalar", 3)])
        {'loss': [2, 1], 'n': 3}

    """
    calls: dict[str, list[Metric]] = {}
    for metric in metrics:
        calls.setdefault(metric.name, []).append(metric)
    return {name: _joined(found) for name, found in calls.items()}


def _joined(calls: list[Metric]) -> Any:
    values = [shown(call.value) for call in calls]
    if all(isinstance(value, dict) for value in values):
        if len(values) == 1:
            return values[0]
        columns: dict[str, list[Any]] = {}
        for value in values:
            for column, items in value.items():
                columns.setdefault(column, []).extend(items if isinstance(items, list) else [items])
        return columns
    if len(values) == 1:
        return values[0]
    return [item for value in values for item in (value if isinstance(value, list) else [value])]


def shown(value: Any) -> Any:
    """Return a stored value as it was logged, with numbers that are not finite."""
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        if set(value) == {_NOT_FINITE}:
            return float(value[_NOT_FINITE])
        return {key: shown(item) for key, item in value.items()}
    return value


def _is_zero_dimensional(value: Any) -> bool:
    return getattr(value, "ndim", None) == 0
