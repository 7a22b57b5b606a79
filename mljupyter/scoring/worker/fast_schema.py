"""Faster conversion of requests by the parameter types of the package `inference-schema`, with the same results.

`NumpyParameterType` looks at each row in Python before NumPy converts them, although that changes only structured
types, dates and durations: 100 ms for 50,000 numbers. `PandasParameterType` writes the rows as JSON again, for pandas
to read it: 5 ms for a row of 30 columns, most of them for names and types that are right already.
"""

from __future__ import annotations

import json
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from mljupyter.scoring.worker import fast_json
from mljupyter.scoring.worker.fast_results import compact

_PACKAGE = "inference_schema.parameter_types"
_PLAIN = {int, float, str, bool}
_PLAIN_TYPES = {"float64", "int64", "bool", "object", "str"}
_INFINITE = {float("inf"), float("-inf")}
_MOST_ORDERS = 16  # of columns that are remembered
_COMPARED_FROM = (1, 5, 1)  # the oldest inference-schema whose frames have been compared with those made here


def make_faster(types: Iterable[Any]) -> None:
    """Make the conversion by parameter types faster, also by those inside of others, where that changes no result.

    Do nothing if fast JSON is off.
    """
    if not fast_json.is_on():
        return
    numpy_type = getattr(sys.modules.get(f"{_PACKAGE}.numpy_parameter_type"), "NumpyParameterType", None)
    pandas_module = sys.modules.get(f"{_PACKAGE}.pandas_parameter_type")
    if getattr(pandas_module, "json", None) is json:
        pandas_module.json = _json_with_fast_dumps()  # type: ignore[union-attr] # a module that has json is not None
    for kind in types:
        inside = getattr(kind, "sample_data_type_map", None) or {}
        make_faster([*inside.values(), *(getattr(kind, "sample_data_type_list", None) or [])])
        if type(kind) is numpy_type:
            kind.deserialize_input = _array_of(kind, kind.deserialize_input)
        elif pandas_module is not None and type(kind) is pandas_module.PandasParameterType:
            dumps = pandas_module.json.dumps
            kind.deserialize_input = _frame_of(kind, kind.deserialize_input, dumps) or kind.deserialize_input


def _array_of(kind: Any, convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a conversion by a `NumpyParameterType` that leaves only what it cannot do to the type's own."""

    def deserialize_input(input_data: Any) -> Any:
        sample = kind.sample_input
        if type(input_data) is not list or not kind.enforce_column_type or sample.dtype.kind not in "biuf":
            return convert(input_data)
        import numpy  # the script has it, since its schema has an array

        try:
            array = numpy.array(input_data, dtype=sample.dtype)
        except (ValueError, TypeError, OverflowError):
            return convert(input_data)  # for the error of its own
        if kind.enforce_shape and (array.ndim != sample.ndim or array.shape[1:] != sample.shape[1:]):
            return convert(input_data)
        return array

    return deserialize_input


def _frame_of(kind: Any, convert: Callable[[Any], Any], dumps: Callable[[Any], str]) -> Callable[[Any], Any] | None:
    """Return a conversion by a `PandasParameterType` that leaves only what it cannot do to the type's own.

    It does records whose values are numbers, texts and truth values. `pandas.read_json` makes a frame of what its
    parser reads, then looks at the names of columns and at missing values. Names that it has left as they are once need
    no second look. The parser is the same, since it rounds differently from `json.loads`.
    """
    if _version_of_package() < _COMPARED_FROM:
        return None
    parse = getattr(sys.modules.get("pandas.io.json._json"), "ujson_loads", None)
    types = dict(kind.sample_input.dtypes)
    plain = all(str(one) in _PLAIN_TYPES for one in types.values())
    if parse is None or not plain or kind.orient != "records" or kind.apply_column_names:
        return None
    import pandas  # the script has it, since its schema has a frame

    if int(pandas.__version__.split(".")[0]) < 3:  # it makes dates of columns by their names
        return None
    known: OrderedDict[tuple[str, ...], None] = OrderedDict()  # the newest last

    def deserialize_input(input_data: Any) -> Any:
        names = _names_of(input_data)
        if names is None:
            return convert(input_data)
        if names not in known:
            frame = convert(input_data)
            if tuple(frame.columns) == names:
                known[names] = None
                if len(known) > _MOST_ORDERS:
                    known.popitem(last=False)
            return frame
        if kind.enforce_shape and len(names) != kind.sample_input.shape[1]:
            return convert(input_data)
        try:
            frame = pandas.DataFrame(parse(dumps(input_data), precise_float=False), dtype=None)
            if kind.enforce_column_type:
                found = zip(names, frame.dtypes)  # noqa: B905 (Python 3.9 has no strict)
                wrong = {name: types.get(name, object) for name, one in found if one != types.get(name, object)}
                frame = frame.astype(wrong) if wrong else frame
        except Exception:  # noqa: BLE001 (for the error of its own)
            return convert(input_data)
        return frame

    return deserialize_input


def _version_of_package() -> tuple[int, ...]:
    """Return the numbers of the version of inference-schema; none if the package does not say its version."""
    from importlib.metadata import PackageNotFoundError, version  # 10 ms that few scripts need

    try:
        numbers = re.match(r"\d+(\.\d+)*", version("inference-schema"))
    except PackageNotFoundError:
        return ()
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def _names_of(rows: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of records in their order; None if a row is different or has another value."""
    if type(rows) is not list or not rows or type(rows[0]) is not dict or not rows[0]:
        return None
    keys = rows[0].keys()
    for row in rows:
        if type(row) is not dict or row.keys() != keys:
            return None
        for value in row.values():
            if type(value) not in _PLAIN or value != value or value in _INFINITE:
                return None
    return tuple(keys)


def _json_with_fast_dumps() -> ModuleType:
    """Return a copy of the module json whose `dumps` leaves out the spaces of long documents."""

    def dumps(obj: Any, *arguments: Any, **options: Any) -> str:
        encoded = None if arguments or options else compact(obj)
        return json.dumps(obj, *arguments, **options) if encoded is None else encoded.decode("ascii")

    copy = ModuleType("json", json.__doc__)
    vars(copy).update({**vars(json), "dumps": dumps})
    return copy
