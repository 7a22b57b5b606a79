"""The result of a script or model as the answer to an inference request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from mljupyter.scoring.columns import MOST_NAMES, names_text
from mljupyter.scoring.open_inference.requests import LENGTH_HEADER, Request, Wanted
from mljupyter.scoring.open_inference.tensors import (
    BYTES,
    TYPES,
    Tensor,
    TensorError,
    datatype_of,
    object_array,
    to_binary,
    to_json,
)
from mljupyter.scoring.protocol import Headers

OUTPUT = "output"
"""The name of the only output of a script whose result has no names."""

_MISSING = ("NAType", "NaTType")  # of pandas


class OutputError(TypeError):
    """A result cannot become tensors."""


def tensors_of(result: Any) -> dict[str, Any]:
    """Return a result as arrays by name; raise OutputError if that is impossible.

    The members of a dict, and the columns of a data frame or of a list of dicts, are tensors of their own. Lists that
    are no tensor, because their parts differ in length or type, become one element of JSON text for each part.
    """
    if result is None:
        return {}
    if hasattr(result, "columns") and hasattr(result, "to_dict"):
        return {str(name): _array(result[name]) for name in result.columns}
    if isinstance(result, dict) and all(isinstance(name, str) for name in result):
        return {name: _array(value) for name, value in result.items()}
    if isinstance(result, (list, tuple)) and result and isinstance(result[0], dict) and result[0]:
        names = list(result[0])
        if all(isinstance(row, dict) and list(row) == names for row in result) and all(
            isinstance(name, str) for name in names
        ):
            return {name: _array([row[name] for row in result]) for name in names}
    return {OUTPUT: _array(result)}


def answer_of(
    arrays: Mapping[str, Any], request: Request, declared: Sequence[Tensor], model: Mapping[str, str]
) -> tuple[bytes, Headers]:
    """Return the body and the headers of the answer.

    Parameters:
        arrays: all outputs by name.
        request: the request, with the outputs that it asks for.
        declared: the outputs in the metadata of the model; an array of another type is converted where that is exact.
        model: name and version for the answer.

    Raises:
        TensorError: the request asks for an output that there is not.

    """
    wanted = request.outputs or tuple(Wanted(name, None) for name in arrays)
    types = {tensor.name: tensor.datatype for tensor in declared}
    described, data = [], []
    for output in wanted:
        if output.name not in arrays:
            raise TensorError(
                f"the model has no output {output.name[:100]!r}; its outputs: {names_text(arrays, MOST_NAMES)}"
            )
        array = _as_declared(arrays[output.name], types.get(output.name))
        one: dict[str, Any] = {
            "name": output.name,
            "datatype": datatype_of(array.dtype),
            "shape": list(array.shape),
        }
        if request.binary if output.binary is None else output.binary:
            data.append(to_binary(array))
            one["parameters"] = {"binary_data_size": len(data[-1])}
        else:
            one["data"] = to_json(array)
        described.append(one)
    head = {"model_name": model["model"], "model_version": model["version"], "id": request.id, "outputs": described}
    if not request.id:
        del head["id"]
    text = json.dumps(head, separators=(",", ":")).encode("ascii")
    if not data:
        return text, []
    length = (LENGTH_HEADER.lower().encode(), b"%d" % len(text))
    return b"".join((text, *data)), [(b"content-type", b"application/octet-stream"), length]


def _as_declared(array: Any, datatype: str | None) -> Any:
    """Return an array in the datatype of the metadata, if that is another one of the same kind and keeps each value."""
    if datatype in (None, BYTES) or array.dtype.kind == "O" or datatype_of(array.dtype) == datatype:
        return array
    import numpy

    kind = numpy.dtype(TYPES[str(datatype)])
    if array.dtype.kind == "f" and kind.kind == "f":
        with numpy.errstate(over="ignore"):
            return array.astype(kind)
    if array.dtype.kind == "b" or kind.kind not in "iuf":
        return array
    found = array.astype(kind)
    return found if (found == array).all() else array


def _array(value: Any) -> Any:
    """Return a value as an array of a type with a datatype, texts and bytes as objects."""
    if hasattr(value, "to_numpy"):  # a series: its own types of missing values become objects
        value = value.to_numpy()
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _typed(value)
    if isinstance(value, (list, tuple)):
        return _of_list(list(value))
    return _elements([value], (1,))


def _typed(array: Any) -> Any:
    import numpy

    array = numpy.asarray(array)
    if not array.shape:
        array = array.reshape(1)
    kind = array.dtype.kind
    if kind in "MU" or kind == "S":
        values = numpy.datetime_as_string(array).ravel().tolist() if kind == "M" else array.ravel().tolist()
        return object_array(values, array.shape)
    if kind == "O":
        return _elements(array.ravel().tolist(), array.shape)
    if datatype_of(array.dtype) is None:
        raise OutputError(f"run() returned an array of the type {array.dtype}, which has no datatype of a tensor")
    return array


def _of_list(values: list[Any]) -> Any:
    shape: tuple[int, ...] = (len(values),)
    flat = values
    while flat and all(isinstance(value, (list, tuple)) for value in flat):
        size = len(flat[0])
        if any(len(value) != size for value in flat):
            return _texts(values)
        shape += (size,)
        flat = [item for value in flat for item in value]
    if any(hasattr(value, "dtype") for value in flat):
        import numpy

        if not any(isinstance(value, (str, bytes)) or value is None for value in flat):
            try:
                return _typed(numpy.array(values))
            except ValueError:  # arrays of different lengths
                pass
        flat = [value.tolist() if hasattr(value, "dtype") else value for value in flat]
    if any(isinstance(value, (list, tuple, dict)) for value in flat):
        return _texts(values)
    return _elements(flat, shape)


def _elements(flat: list[Any], shape: tuple[int, ...]) -> Any:
    """Return plain values as an array; a missing one is NaN among numbers, and an empty text among texts."""
    import numpy

    flat = [None if type(value).__name__ in _MISSING else value for value in flat]
    if any(isinstance(value, str) for value in flat):  # pandas has NaN for a missing text
        flat = [None if isinstance(value, float) and isnan(value) else value for value in flat]
    kinds = {type(value) for value in flat}
    present = kinds - {type(None)}
    if not kinds:
        return numpy.empty(shape, dtype=numpy.float64)
    if kinds == {bool}:
        return numpy.array(flat, dtype=bool).reshape(shape)
    if kinds == {int}:
        for kind in (numpy.int64, numpy.uint64):
            if numpy.iinfo(kind).min <= min(flat) <= max(flat) <= numpy.iinfo(kind).max:
                return numpy.array(flat, dtype=kind).reshape(shape)
    elif present and present <= {int, float}:
        numbers = [numpy.nan if value is None else float(value) for value in flat]
        return numpy.array(numbers, dtype=numpy.float64).reshape(shape)
    elif present and present <= {str, bytes}:
        return object_array(["" if value is None else value for value in flat], shape)
    return object_array([_text(value) for value in flat], shape)


def _texts(values: list[Any]) -> Any:
    return object_array([_text(value) for value in values], (len(values),))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(_plain(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise OutputError(f"run() returned a {type(value).__name__} that cannot become a tensor: {error}") from None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
