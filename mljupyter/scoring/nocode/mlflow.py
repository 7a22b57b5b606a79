"""Built-in script for an MLflow model directory.

If the package mlflow is installed, the model's `python_function` flavour is used. Without either, its scikit-learn
flavour is loaded directly. Rows are sent as ``{"input_data": {"columns": [...], "data": [[...]]}}``, as
``{"input_data": [[...]]}``, or with one of MLflow's own keys `dataframe_split`, `dataframe_records`, `instances`,
`inputs`.
"""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

from mljupyter.scoring.nocode import sklearn
from mljupyter.scoring.nocode.bodies import BodyError, frame_of, object_of, plain, refusal
from mljupyter.scoring.nocode.model_files import NoCodeError, only_directory_with
from mljupyter.scoring.open_inference.tensors import BYTES, Tensor, datatype_of, texts

_KEYS = ("input_data", "dataframe_split", "dataframe_records", "instances", "inputs")
_model: Any = None
_by_signature = False
"""Whether MLflow itself takes columns by name."""


def init() -> None:
    """Load the only MLflow model."""
    global _by_signature, _model
    directory = only_directory_with("MLmodel")
    entries = _entries((directory / "MLmodel").read_text(encoding="utf-8"))
    if ("flavors", "python_function") in entries and importlib.util.find_spec("mlflow") is not None:
        import mlflow.pyfunc  # type: ignore[import-not-found, unused-ignore]

        _model, _by_signature = mlflow.pyfunc.load_model(str(directory)), True
        return
    _model = _load_sklearn(directory, entries)


def run(data: str) -> Any:
    """Return the model's predictions for rows."""
    try:
        rows = _rows(object_of(data))
        try:
            result = _model.predict(rows)
        except (ValueError, TypeError, KeyError) as error:
            raise BodyError(f"the model cannot take these rows: {error}") from error
    except BodyError as error:
        return refusal(error)
    return plain(result)


def tensors() -> tuple[str, list[Tensor], list[Tensor]] | str:
    """Describe the tensors of the model, by its signature or as scikit-learn knows them."""
    if not _by_signature:
        return sklearn.tensors_of(_model)
    schema = _model.metadata.get_input_schema()
    if schema is None:
        return "the MLflow model has no signature, so its tensors are not known; send requests to /score"
    import numpy

    found = []
    for number, one in enumerate(schema.inputs):
        try:
            kind = numpy.dtype(one.type if schema.is_tensor_spec() else one.type.to_numpy())
        except (AttributeError, TypeError):
            kind = None
        datatype = None if kind is None else BYTES if kind.kind == "M" else datatype_of(kind)
        if datatype is None:
            return f"the signature of the MLflow model has an input of the type {one.type}; send requests to /score"
        shape = tuple(one.shape) if schema.is_tensor_spec() else (-1,)
        column = not schema.is_tensor_spec()
        name = str(one.name) if one.name is not None else "input" if schema.is_tensor_spec() else str(number)
        found.append(Tensor(name, datatype, shape, column=column))
    return "mlflow", found, []


def infer(tensors: dict[str, Any], outputs: list[str], parameters: dict[str, Any]) -> Any:
    """Return the model's predictions for tensors."""
    if not _by_signature:
        return sklearn.infer_with(_model, tensors, outputs)
    import pandas

    values = {name: texts(name, array) if array.dtype.kind == "O" else array for name, array in tensors.items()}
    schema = _model.metadata.get_input_schema()
    try:
        if schema.is_tensor_spec():
            return _model.predict(values if schema.has_input_names() else next(iter(values.values())))
        return _model.predict(pandas.DataFrame({name: array.ravel() for name, array in values.items()}))
    except Exception as error:
        if type(error).__name__ == "MlflowException" or isinstance(error, (ValueError, TypeError, KeyError)):
            raise BodyError(f"the model cannot take these tensors: {str(error)[:1000]}") from error
        raise


def _rows(body: dict[str, Any]) -> Any:
    import numpy
    import pandas

    key = next((key for key in _KEYS if key in body), None)
    if key is None:
        raise BodyError(f"the request body needs one of {', '.join(_KEYS)}")
    value = body[key]
    try:
        if isinstance(value, dict) and "data" in value:
            return pandas.DataFrame(value["data"], columns=value.get("columns"), index=value.get("index"))
        if isinstance(value, list) and _by_position(value):
            return frame_of(value, _model)
        if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
            return pandas.DataFrame(value)
        return numpy.array(value)
    except (ValueError, TypeError) as error:
        raise BodyError(f"{key} does not hold rows: {error}") from error


def _by_position(rows: list[Any]) -> bool:
    """Return whether rows are objects, and the model takes their columns by position: JSON objects have no order."""
    if _by_signature or not rows or not all(isinstance(row, dict) for row in rows):
        return False
    return hasattr(_model, "feature_names_in_") or len(rows[0]) > 1


def _load_sklearn(directory: Path, entries: dict[tuple[str, ...], str]) -> Any:
    name = entries.get(("flavors", "sklearn", "pickled_model"))
    if name is None:
        raise NoCodeError(
            f"{directory} has no scikit-learn flavour. A python_function flavour needs the package mlflow in the "
            "environment of the service (pip install mlflow); other flavours cannot be served."
        )
    path = (directory / name).resolve()
    if not path.is_relative_to(directory.resolve()):
        raise NoCodeError(f"{directory}/MLmodel names a file outside the model: {name}")
    with path.open("rb") as file:
        return pickle.load(file)  # noqa: S301 (the user's own model)


def _entries(text: str) -> dict[tuple[str, ...], str]:
    """Return the values of an MLmodel file by the keys that lead to them. Its YAML is plain, and needs no parser."""
    found: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        key, separator, value = line.partition(":")
        if not separator or key.lstrip().startswith(("#", "-")):
            continue
        indent = len(key) - len(key.lstrip())
        while path and path[-1][0] >= indent:
            path.pop()
        path.append((indent, key.strip()))
        found[tuple(name for _, name in path)] = value.strip().strip("'\"")
    return found
