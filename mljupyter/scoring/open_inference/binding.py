"""The parameters of a decorated `run()` as tensors: one for an array, one for each column of a data frame.

The types of parameters are those of the package `inference-schema`. It is a dependency of the script, and nothing here
imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mljupyter.scoring.columns import MOST_NAMES, names_text
from mljupyter.scoring.open_inference.requests import Request
from mljupyter.scoring.open_inference.tensors import BYTES, Tensor, TensorError, datatype_of, texts

_SCALARS = (bool, int, float, str)
_OPENAPI = {
    ("integer", "int32"): "INT32",
    ("integer", None): "INT64",
    ("number", "float"): "FP32",
    ("number", None): "FP64",
    ("boolean", None): "BOOL",
    ("string", None): BYTES,
}
_OUTPUT = "output"
_MOST_TEXT_BYTES = 1 << 26  # of an array of NumPy's own texts, which are all as long as the longest
_DATETIME, _DURATION, _CATEGORY = "M", "m", "category"


class NotTensorsError(Exception):
    """A parameter cannot be given by tensors; the text says why."""


class _Leaf:
    """One parameter, or a part of one: its path, its tensors by the names of columns, and how its value is made."""

    def __init__(self, path: tuple[str, ...], kind: Any, required: bool) -> None:
        self.path = path
        self.kind = kind
        self.required = required
        self.columns: dict[str, Tensor] = {}

    def named(self, prefixed: bool) -> list[tuple[str, str]]:
        """Return the names of its tensors, and for each the name among its columns."""
        return [(self.name(column, prefixed), column) for column in self.columns]

    def name(self, column: str, prefixed: bool) -> str:
        """Return the name of a tensor."""
        own = ".".join(self.path)
        return f"{own}.{column}" if prefixed and column != own else column

    def value(self, given: dict[str, Any], names: Mapping[str, str]) -> Any:
        """Return the value for `run()` from the tensors that a request has, by their columns."""
        raise NotImplementedError

    def as_json(self, value: Any) -> Any:
        """Return a value as the JSON that a request to `/score` would have."""
        return value


class _ArrayLeaf(_Leaf):
    def __init__(self, path: tuple[str, ...], kind: Any, required: bool) -> None:
        super().__init__(path, kind, required)
        sample = kind.sample_input
        self._dtype = sample.dtype
        datatype = BYTES if sample.dtype.kind == _DATETIME else datatype_of(sample.dtype)
        if datatype is None or sample.dtype.names:
            raise NotTensorsError(f"the parameter {'.'.join(path)!r} is an array of the type {sample.dtype}")
        self._as_bytes = sample.dtype.kind == "S" or (sample.size > 0 and isinstance(sample.flat[0], bytes))
        if sample.dtype.kind == "O" and sample.size and not isinstance(sample.flat[0], (str, bytes)):
            raise NotTensorsError(f"the parameter {'.'.join(path)!r} is an array of objects other than texts")
        free = not kind.enforce_shape
        shape = tuple(-1 if free or not place else size for place, size in enumerate(sample.shape))
        typed = bool(getattr(kind, "enforce_column_type", True)) or sample.dtype.kind == "U"
        own = ".".join(path)
        self.columns = {own: Tensor(own, datatype, shape, any_shape=free, any_type=not typed)}
        self._cast = typed
        self._rows = hasattr(kind, "apply") and len(shape) > 0  # the model of a generated script needs one row

    def value(self, given: dict[str, Any], names: Mapping[str, str]) -> Any:
        ((column, array),) = given.items()
        name = names[column]
        if self._rows and not array.shape[0]:
            raise TensorError(f"the tensor {name!r} has no rows")
        if array.dtype.kind != "O":
            return array.astype(self._dtype, copy=False) if self._cast else array
        if self._as_bytes:
            return array if self._dtype.kind == "O" else _fixed(name, _encoded(array), self._dtype.kind)
        array = texts(name, array)
        if self._dtype.kind == "O":
            return array
        if self._dtype.kind == "U":
            return _fixed(name, array, "U")
        try:
            return array.astype(self._dtype)
        except ValueError as error:
            raise TensorError(f"the tensor {name!r} has an element that is no date and time: {error}") from None

    def as_json(self, value: Any) -> Any:
        return value.tolist()


class _FrameLeaf(_Leaf):
    def __init__(self, path: tuple[str, ...], kind: Any, required: bool) -> None:
        super().__init__(path, kind, required)
        sample = kind.sample_input
        self._labels = {str(label): label for label in sample.columns}
        if len(self._labels) != len(sample.columns):
            raise NotTensorsError(f"the data frame {'.'.join(path)!r} has several columns of the same name")
        free = not kind.enforce_column_type
        self.columns = {
            name: Tensor(name, _column_type(sample[label]), (-1,), any_type=free, column=True)
            for name, label in self._labels.items()
        }
        used = getattr(kind, "used_columns", self._labels)
        self._needed = [str(name) for name in used] if kind.enforce_shape else []
        self._used = set(map(str, used))
        self._types = {name: sample[label].dtype for name, label in self._labels.items()}
        self._cast = bool(kind.enforce_column_type)
        self._rows = hasattr(kind, "apply")

    def value(self, given: dict[str, Any], names: Mapping[str, str]) -> Any:
        import pandas

        missing = [names[column] for column in self._needed if column not in given]
        if missing:
            raise TensorError(f"the request lacks the inputs {names_text(missing, MOST_NAMES)}")
        first = next(iter(given))
        count = given[first].size
        for column, array in given.items():
            if array.size != count:
                raise TensorError(
                    f"the tensors {names[first]!r} and {names[column]!r} have {count} and {array.size} rows: they are "
                    "columns of one table"
                )
        if self._rows and not count:
            raise TensorError(f"the tensor {names[first]!r} has no rows")
        found = {
            self._labels[column]: self._column(names[column], column, given[column].reshape(count))
            for column in self._labels
            if column in given and column in self._used
        }
        return pandas.DataFrame(found, index=pandas.RangeIndex(count))

    def _column(self, name: str, column: str, array: Any) -> Any:
        import pandas

        kind = self._types[column]
        values = texts(name, array) if array.dtype.kind == "O" else array
        if not self._cast:
            return values
        code = getattr(kind, "kind", "O")
        try:
            if isinstance(kind, pandas.CategoricalDtype):
                return _categories(name, values, kind)
            if isinstance(kind, pandas.DatetimeTZDtype):
                return pandas.to_datetime(pandas.Series(_dates(values, zoned=True)), utc=True).astype(kind)
            if code == _DATETIME:
                return pandas.Series(_dates(values, zoned=False)).astype(kind)
            if code == _DURATION:
                return pandas.to_timedelta(pandas.Series(values)).astype(kind)
            return pandas.Series(values).astype(kind)
        except TensorError:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            text = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise TensorError(f"the tensor {name!r} cannot become a column of the type {kind}: {text}") from None

    def as_json(self, value: Any) -> Any:
        import json

        return json.loads(value.to_json(orient=self.kind.orient, date_format="iso"))


class _ValueLeaf(_Leaf):
    """A number, a text or a list of them; without a tensor for anything else, which only `parameters` can give."""

    def __init__(self, path: tuple[str, ...], kind: Any, required: bool) -> None:
        super().__init__(path, kind, required)
        import numpy

        sample = kind.sample_input
        self._list = isinstance(sample, list)
        values = sample if self._list else [sample]
        if values and all(isinstance(value, _SCALARS) for value in values):
            array = numpy.array(values)
            datatype = datatype_of(array.dtype)
            if array.dtype.kind != "U" or all(isinstance(value, str) for value in values):
                own = ".".join(path)
                assert datatype is not None  # noqa: S101 (for the type checker: each of these types has one)
                self.columns = {own: Tensor(own, datatype, (-1,) if self._list else (1,), any_shape=not self._list)}

    def value(self, given: dict[str, Any], names: Mapping[str, str]) -> Any:
        ((column, array),) = given.items()
        if not self._list and array.size != 1:
            raise TensorError(f"the tensor {names[column]!r} has {array.size} elements; the model takes one")
        values: list[Any] = (texts(names[column], array) if array.dtype.kind == "O" else array).ravel().tolist()
        return values if self._list else values[0]


class Binding:
    """The tensors of a decorated `run()`, and the arguments that they make.

    Parameters:
        types: the types of its parameters.
        parameters: its parameters in order, and whether each is required.
        output: the description of its result in OpenAPI, if there is one.

    Raises:
        NotTensorsError: some required parameter cannot be given.

    """

    def __init__(
        self, types: Mapping[str, Any], parameters: Iterable[tuple[str, bool]], output: Mapping[str, Any] | None
    ) -> None:
        self._leaves: list[_Leaf] = []
        for name, required in parameters:
            if name in types:
                self._leaves += _leaves((name,), types[name], required)
            elif required:
                raise NotTensorsError(f"the parameter {name!r} has no @input_schema")
        count = [name for leaf in self._leaves for name, _ in leaf.named(prefixed=False)]
        prefixed = len(set(count)) < len(count)
        self._places: dict[str, tuple[int, str]] = {}
        self._inputs: dict[str, Tensor] = {}
        for number, leaf in enumerate(self._leaves):
            for name, column in leaf.named(prefixed):
                self._places[name] = (number, column)
                self._inputs[name] = leaf.columns[column]._replace(name=name)
        self._names = [{column: leaf.name(column, prefixed) for column in leaf.columns} for leaf in self._leaves]
        self.inputs = list(self._inputs.values())
        self.outputs = outputs_of(output)

    def arguments(self, request: Request) -> dict[str, Any]:
        """Return the keyword arguments for `run()`; raise TensorError if inputs are missing or do not fit."""
        given: list[dict[str, Any]] = [{} for _ in self._leaves]
        for name, array in request.tensors.items():
            number, column = self._places[name]
            given[number][column] = array
        arguments: dict[str, Any] = {}
        for leaf, tensors, names in zip(self._leaves, given, self._names):  # noqa: B905 (Python 3.9 has no strict)
            own = ".".join(leaf.path)
            if tensors:
                value = leaf.value(tensors, names)
                if not leaf.required:
                    value = leaf.as_json(value)  # the decorators ask for the truth of optional values
            elif own in request.parameters:
                value = request.parameters[own]
            elif leaf.required:
                if not names:
                    raise TensorError(f"the request lacks the parameter {own!r} among its parameters")
                raise TensorError(f"the request lacks the inputs {names_text(names.values(), MOST_NAMES)}")
            else:
                continue
            home = arguments
            for step in leaf.path[:-1]:
                home = home.setdefault(step, {})
            home[leaf.path[-1]] = value
        return arguments


def outputs_of(description: Mapping[str, Any] | None) -> list[Tensor]:
    """Return the tensors of a result as OpenAPI describes it; none where that is not certain.

    An array is one tensor. An object, or an array of objects, is one for each of its members.
    """
    if not description:
        return []
    kind = description.get("type")
    rows = description.get("items", {}) if kind == "array" else {}
    members = description.get("properties") if kind == "object" else rows.get("properties")
    if members is None:
        found = _output(_OUTPUT, description, 0)
        return [found] if found else []
    tensors = [_output(str(name), member, 1 if kind == "array" else 0) for name, member in members.items()]
    return [] if None in tensors else [tensor for tensor in tensors if tensor is not None]


def _output(name: str, description: Mapping[str, Any], depth: int) -> Tensor | None:
    while description.get("type") == "array":
        depth, description = depth + 1, description.get("items", {})
    kind, form = description.get("type"), description.get("format")
    datatype = _OPENAPI.get((kind, form)) or _OPENAPI.get((kind, None))  # type: ignore[arg-type]
    return None if datatype is None else Tensor(name, datatype, (-1,) * depth if depth else (1,))


def _leaves(path: tuple[str, ...], kind: Any, required: bool) -> list[_Leaf]:
    names = {base.__name__ for base in type(kind).__mro__}
    if "NumpyParameterType" in names:
        return [_ArrayLeaf(path, kind, required)]
    if "PandasParameterType" in names:
        return [_FrameLeaf(path, kind, required)]
    if "StandardPythonParameterType" in names:
        parts = getattr(kind, "sample_data_type_map", None)
        if not parts:
            return [_ValueLeaf(path, kind, required)]
        found = [leaf for name, part in parts.items() for leaf in _leaves((*path, str(name)), part, required)]
        others = {name: value for name, value in kind.sample_input.items() if name not in parts}
        return found + [_Sample((*path, str(name)), value) for name, value in others.items()]
    raise NotTensorsError(f"the parameter {'.'.join(path)!r} is a {type(kind).__name__}")


class _Sample(_Leaf):
    """A member of a nested parameter without a type of its own, which only `parameters` can give."""

    def __init__(self, path: tuple[str, ...], sample: Any) -> None:
        super().__init__(path, sample, required=False)


def _column_type(column: Any) -> str:
    import pandas

    kind = column.dtype
    if isinstance(kind, pandas.CategoricalDtype):
        return _column_type(pandas.Series(kind.categories))
    plain = getattr(kind, "numpy_dtype", kind)  # of a type of pandas with missing values
    code = getattr(plain, "kind", "O")
    if code in "biuf" and hasattr(plain, "itemsize"):
        return datatype_of(plain) or BYTES
    if code == "O":
        guess = pandas.api.types.infer_dtype(column, skipna=True)
        return {"integer": "INT64", "floating": "FP64", "mixed-integer-float": "FP64", "boolean": "BOOL"}.get(
            guess, BYTES
        )
    return BYTES


def _dates(values: Any, zoned: bool) -> Any:
    """Return texts as dates and times; an empty one is a missing one. Each may be written in its own way."""
    import pandas

    found = [pandas.Timestamp(value) for value in values]
    for value, date in zip(values, found):  # noqa: B905 (Python 3.9 has no strict)
        if not pandas.isna(date) and (date.tz is not None) != zoned:
            raise ValueError(f"{value[:60]!r} has {'no' if zoned else 'a'} time zone")
    return pandas.Series(found, dtype=object)


def _categories(name: str, values: Any, kind: Any) -> Any:
    import pandas

    found = pandas.Categorical(values, dtype=kind)
    unknown = pandas.isna(found) & ~pandas.isna(values)
    if unknown.any():
        wrong = str(values[unknown.argmax()])[:60]
        raise TensorError(
            f"the tensor {name!r} has the unknown category {wrong!r}; there are {names_text(kind.categories)}"
        )
    return found


def _encoded(array: Any) -> Any:
    found = array.copy()
    found[...] = [value.encode() if isinstance(value, str) else value for value in array.ravel()]
    return found


def _fixed(name: str, array: Any, kind: str) -> Any:
    longest = max(map(len, array.ravel()), default=0)
    if longest * array.size * (4 if kind == "U" else 1) > _MOST_TEXT_BYTES:
        raise TensorError(
            f"the tensor {name!r} has {array.size} texts of up to {longest} characters, which are too many together"
        )
    return array.astype(kind)
