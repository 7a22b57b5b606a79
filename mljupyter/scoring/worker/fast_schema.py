"""Faster conversion of requests by the parameter types of the package `inference-schema`, with the same results.

`NumpyParameterType` looks at each row in Python before NumPy converts them, although that changes only structured
types, dates and durations: 100 ms for 50,000 numbers. `PandasParameterType` writes the rows as JSON again, for pandas
to read it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from mljupyter.scoring.worker import fast_json
from mljupyter.scoring.worker.fast_results import compact

_PACKAGE = "inference_schema.parameter_types"


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


def _json_with_fast_dumps() -> ModuleType:
    """Return a copy of the module json whose `dumps` leaves out the spaces of long documents."""

    def dumps(obj: Any, *arguments: Any, **options: Any) -> str:
        encoded = None if arguments or options else compact(obj)
        return json.dumps(obj, *arguments, **options) if encoded is None else encoded.decode("ascii")

    copy = ModuleType("json", json.__doc__)
    vars(copy).update({**vars(json), "dumps": dumps})
    return copy
