"""Tensors of the Open Inference Protocol as NumPy arrays, in JSON and in binary form.

Nothing is allocated for a shape before the data are known to have as many elements.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any, NamedTuple

from mljupyter.scoring.columns import names_text

BYTES = "BYTES"
TYPES = {
    "BOOL": "|b1",
    "UINT8": "|u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""The datatypes of a fixed size, and NumPy's names of them."""
MOST_DIMENSIONS = 32
MOST_SAMPLE = 10_000_000
"""The most elements of an input of a sample request."""
_MOST_SIZE = 2**62  # of one dimension: NumPy's own limit is 2**63
_NAMES = {(code[1], int(code[2])): name for name, code in TYPES.items()}
_LENGTH = struct.Struct("<I")
_MOST_SHOWN = 60


class TensorError(ValueError):
    """A tensor, or the request that holds it, is refused. The client gets status 400 with the text."""

    mljupyter_status = 400


class Tensor(NamedTuple):
    """The description of an input or an output; a dimension of -1 may have any size.

    `any_shape` is for an input whose script takes all shapes, `any_type` for one that takes all types of numbers, and
    `column` for a column of a table, which may have the shape of a matrix with one column as well. With `any_kind` it
    takes texts, too.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    any_shape: bool = False
    any_type: bool = False
    column: bool = False
    any_kind: bool = False

    def described(self) -> dict[str, Any]:
        """Return the description in the form of the metadata of a model."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


def zeros(tensor: Tensor) -> Any:
    """Return an array for an input, of zeros or empty texts; dimensions of any size have the size 1.

    Raises:
        TensorError: it would have more than `MOST_SAMPLE` elements.

    """
    import numpy

    shape = tuple(1 if size < 0 else size for size in tensor.shape)
    if prod(shape) > MOST_SAMPLE:
        raise TensorError(
            f"the input {tensor.name!r} has {prod(shape):,} elements, and a sample at most {MOST_SAMPLE:,}"
        )
    if tensor.datatype == BYTES:
        return numpy.full(shape, b"", dtype=object)
    return numpy.zeros(shape, dtype=TYPES[tensor.datatype])


def datatype_of(dtype: Any) -> str | None:
    """Return the datatype for NumPy's type of an array; None if there is none. Objects and texts are BYTES."""
    if dtype.kind in "OUS":
        return BYTES
    return _NAMES.get((dtype.kind, dtype.itemsize))


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    """Return the shape of a tensor in a request; raise TensorError if it is none."""
    if not isinstance(shape, list) or not all(type(size) is int and 0 <= size < _MOST_SIZE for size in shape):
        raise TensorError(f"the shape of the tensor {name!r} must be a list of whole numbers that are not negative")
    if len(shape) > MOST_DIMENSIONS:
        raise TensorError(f"the tensor {name!r} has {len(shape)} dimensions; at most {MOST_DIMENSIONS} are allowed")
    return tuple(shape)


def check_fits(tensor: Tensor, datatype: str, shape: tuple[int, ...]) -> None:
    """Raise TensorError if a tensor of a request has another datatype or shape than the model takes.

    A datatype is taken if each of its values is one of the model's datatype, too: INT32 for INT64, FP32 for FP64.
    """
    if datatype != tensor.datatype and not tensor.any_kind:
        import numpy

        known = BYTES not in (datatype, tensor.datatype)
        if not known or not (tensor.any_type or numpy.can_cast(TYPES[datatype], TYPES[tensor.datatype])):
            raise TensorError(
                f"the tensor {tensor.name!r} has the datatype {datatype}; the model takes {tensor.datatype}"
            )
    if tensor.any_shape or (tensor.column and len(shape) == 2 and shape[1] == 1):
        return
    wanted = tensor.shape
    if len(shape) != len(wanted) or any(-1 != want != size for want, size in zip(wanted, shape)):  # noqa: B905 (Python 3.9 has no strict)
        raise TensorError(f"the tensor {tensor.name!r} has the shape {_shown(shape)}; the model takes {_shown(wanted)}")


def from_binary(name: str, datatype: str, shape: tuple[int, ...], data: memoryview) -> Any:
    """Return a tensor from its binary form as an array of its own; raise TensorError if the size does not fit."""
    import numpy

    count = prod(shape)
    if datatype == BYTES:
        return _array(_elements(name, count, data), shape)
    size = numpy.dtype(TYPES[datatype]).itemsize * count
    if size != len(data):
        raise TensorError(
            f"the tensor {name!r} has {len(data)} bytes of data; {datatype} of the shape {_shown(shape)} has {size}"
        )
    if datatype == "BOOL" and data.nbytes and numpy.frombuffer(data, "|u1").max() > 1:
        raise TensorError(f"the tensor {name!r} has bytes other than 0 and 1, but its datatype is BOOL")
    return numpy.frombuffer(data, TYPES[datatype]).copy().reshape(shape)


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> Any:
    """Return a tensor from its elements in JSON, nested or flat; raise TensorError if they do not fit."""
    import numpy

    values = _flat(name, shape, data)
    if len(values) != prod(shape):
        raise TensorError(
            f"the tensor {name!r} has {len(values)} elements; its shape {_shown(shape)} has {prod(shape)}"
        )
    kinds = set(map(type, values))
    if datatype == BYTES:
        _check_kinds(name, datatype, kinds, {str}, "strings")
        return _array(values, shape)
    kind = numpy.dtype(TYPES[datatype])
    if datatype == "BOOL":
        _check_kinds(name, datatype, kinds, {bool}, "true or false")
        return numpy.array(values, dtype=kind).reshape(shape)
    if kind.kind == "f":
        _check_kinds(name, datatype, kinds, {int, float}, "numbers")
        return _floats(name, datatype, values, kind).reshape(shape)
    _check_kinds(name, datatype, kinds, {int}, "whole numbers")
    low, high = numpy.iinfo(kind).min, numpy.iinfo(kind).max
    if values and not low <= min(values) <= max(values) <= high:
        wrong = next(value for value in values if not low <= value <= high)
        raise TensorError(f"the tensor {name!r} has the element {_cut(wrong)}; {datatype} has {low} to {high}")
    return numpy.array(values, dtype=kind).reshape(shape)


def to_binary(array: Any) -> bytes:
    """Return an array in binary form, little-endian and in the order of rows."""
    import numpy

    if array.dtype.kind == "O":
        parts: list[bytes] = []
        for element in array.ravel():
            content = element if isinstance(element, bytes) else element.encode("utf-8", "surrogatepass")
            parts += (_LENGTH.pack(len(content)), content)
        return b"".join(parts)
    return numpy.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def to_json(array: Any) -> list[Any]:
    """Return the elements of an array for JSON, flat; bytes that are not UTF-8 raise TensorError."""
    values: list[Any] = array.ravel().tolist()
    if array.dtype.kind != "O":
        return values
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError:
        raise TensorError("an output has bytes that are not UTF-8: request it with binary_data") from None


def texts(name: str, array: Any) -> Any:
    """Return a tensor of BYTES with each element as text; raise TensorError if one is not UTF-8."""
    try:
        values = [value.decode() if isinstance(value, bytes) else value for value in array.ravel()]
    except UnicodeDecodeError as error:
        reason = f"{error.reason} at byte {error.start}"
        raise TensorError(f"the tensor {name!r} has an element that is not UTF-8: {reason}") from None
    return _array(values, array.shape)


def object_array(values: Sequence[Any], shape: tuple[int, ...]) -> Any:
    """Return an array of objects in this shape."""
    return _array(values, shape)


def _elements(name: str, count: int, data: memoryview) -> list[bytes]:
    found: list[bytes] = []
    offset, end = 0, len(data)
    while offset < end:
        start = offset + _LENGTH.size
        offset = start + (_LENGTH.unpack_from(data, offset)[0] if start <= end else 0)
        if offset > end or start > end:
            raise TensorError(f"the tensor {name!r} ends in the middle of its element {len(found)}")
        found.append(bytes(data[start:offset]))
    if len(found) != count:
        raise TensorError(f"the tensor {name!r} has {len(found)} elements; its shape has {count}")
    return found


def _flat(name: str, shape: tuple[int, ...], data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise TensorError(f"the data of the tensor {name!r} must be a list")
    values = data
    for size in (*shape[1:], None):
        if not any(type(value) is list for value in values):
            return values
        if size is None or not all(type(value) is list and len(value) == size for value in values):
            break
        values = list(chain.from_iterable(values))
    if not any(type(value) is list for value in values):
        return values
    raise TensorError(f"the lists in the data of the tensor {name!r} do not have its shape {_shown(shape)}")


def _floats(name: str, datatype: str, values: list[Any], kind: Any) -> Any:
    import numpy

    try:
        wide = numpy.array(values, dtype=numpy.float64)
    except OverflowError:
        raise TensorError(f"the tensor {name!r} has an element that is too large for {datatype}") from None
    with numpy.errstate(over="ignore"):
        array = wide.astype(kind)
    if (numpy.isinf(array) & ~numpy.isinf(wide)).any():
        raise TensorError(f"the tensor {name!r} has an element that is too large for {datatype}")
    return array


def _check_kinds(name: str, datatype: str, kinds: set[type], allowed: set[type], what: str) -> None:
    if not kinds <= allowed:
        other = names_text(sorted(_JSON.get(kind, "boolean") for kind in kinds - allowed))
        raise TensorError(f"the tensor {name!r} has elements of the type {other}; the data of {datatype} are {what}")


_JSON = {
    str: "string",
    int: "number",
    float: "number with a fraction",
    dict: "object",
    list: "list",
    type(None): "null",
}


def _array(values: Sequence[Any], shape: tuple[int, ...]) -> Any:
    import numpy

    array = numpy.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _shown(shape: Sequence[int]) -> str:
    return f"[{', '.join(_cut(size) for size in shape)}]"
