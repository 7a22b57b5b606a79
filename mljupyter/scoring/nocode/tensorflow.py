"""Built-in script for a TensorFlow SavedModel, with the JSON bodies of TensorFlow Serving's REST interface.

``{"instances": [...]}`` is answered ``{"predictions": [...]}``, ``{"inputs": ...}`` is answered ``{"outputs": ...}``;
`signature_name` picks a signature other than `serving_default`.
"""

from __future__ import annotations

import base64
from typing import Any

from mljupyter.scoring.columns import MOST_NAMES, names_text
from mljupyter.scoring.nocode.bodies import BodyError, object_of, plain, refusal
from mljupyter.scoring.nocode.model_files import NoCodeError, only_directory_with
from mljupyter.scoring.open_inference.tensors import BYTES, Tensor, datatype_of

_DEFAULT = "serving_default"
_model: Any = None


def init() -> None:
    """Load the only SavedModel."""
    global _model
    directory = only_directory_with("saved_model.pb", "saved_model.pbtxt")
    try:
        import tensorflow  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ModuleNotFoundError:
        raise NoCodeError(
            "a SavedModel needs the package tensorflow in the environment of the service: pip install tensorflow"
        ) from None
    _model = tensorflow.saved_model.load(str(directory))


def run(data: str) -> Any:
    """Call a signature of the model on instances (a list of rows) or inputs (columns)."""
    try:
        body = object_of(data)
        signature = _signature(body.get("signature_name", _DEFAULT))
        expected = signature.structured_input_signature[1]
        if ("instances" in body) == ("inputs" in body):
            raise BodyError('the request body needs either "instances" (rows) or "inputs" (columns)')
        columns = _columns(body["instances"], expected) if "instances" in body else _named(body["inputs"], expected)
        outputs = {name: plain(value.numpy()) for name, value in _call(signature, columns, expected).items()}
    except BodyError as error:
        return refusal(error)
    if "inputs" in body:
        return {"outputs": next(iter(outputs.values())) if len(outputs) == 1 else outputs}
    if len(outputs) == 1:
        return {"predictions": next(iter(outputs.values()))}
    return {"predictions": [dict(zip(outputs, row)) for row in zip(*outputs.values())]}  # noqa: B905 (Python 3.9 has no strict)


def tensors() -> tuple[str, list[Tensor], list[Tensor]] | str:
    """Describe the tensors of the signature `serving_default`."""
    if _DEFAULT not in _model.signatures:
        return f"the model has no signature {_DEFAULT}; send requests to /score"
    signature = _model.signatures[_DEFAULT]
    sides = (signature.structured_input_signature[1], signature.structured_outputs)
    inputs, outputs = ([_tensor(name, spec) for name, spec in side.items()] for side in sides)
    return "tensorflow_savedmodel", inputs, outputs


def infer(tensors: dict[str, Any], outputs: list[str], parameters: dict[str, Any]) -> Any:
    """Call the signature `serving_default` on tensors."""
    signature = _model.signatures[_DEFAULT]
    values = {name: array.tolist() if array.dtype.kind == "O" else array for name, array in tensors.items()}
    found = _call(signature, values, signature.structured_input_signature[1])
    return {name: value.numpy() for name, value in found.items()}


def _tensor(name: str, spec: Any) -> Tensor:
    import numpy

    datatype = datatype_of(numpy.dtype(spec.dtype.as_numpy_dtype)) or BYTES
    if spec.shape.rank is None:
        return Tensor(name, datatype, (-1,), any_shape=True)
    return Tensor(name, datatype, tuple(-1 if size is None else int(size) for size in spec.shape))


def _signature(name: str) -> Any:
    if name not in _model.signatures:
        raise BodyError(f"the model has no signature {name!r}; its signatures: {', '.join(_model.signatures)}")
    return _model.signatures[name]


def _columns(rows: Any, expected: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(rows, list):
        raise BodyError('"instances" must be a list of rows')
    if rows and all(isinstance(row, dict) and "b64" not in row for row in rows):
        return {name: [row.get(name) for row in rows] for name in rows[0]}
    return _named(rows, expected)


def _named(value: Any, expected: dict[str, Any]) -> dict[str, Any]:
    if isinstance(value, dict) and "b64" not in value:
        return value
    if len(expected) != 1:
        raise BodyError(f"the model has several inputs; name them: {', '.join(expected)}")
    return {next(iter(expected)): value}


def _call(signature: Any, columns: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    import tensorflow

    if columns.keys() != expected.keys():
        raise BodyError(f"the inputs must be {names_text(expected, MOST_NAMES)}, not {names_text(columns, MOST_NAMES)}")
    try:
        tensors = {
            name: tensorflow.constant(_bytes_in(value), dtype=expected[name].dtype) for name, value in columns.items()
        }
    except (TypeError, ValueError) as error:
        raise BodyError(f"the values do not fit the inputs of the model: {error}") from error
    try:
        result: dict[str, Any] = signature(**tensors)
    except Exception as error:
        if type(error).__name__ != "InvalidArgumentError":
            raise
        reason = str(error).partition("\n")[0].partition("[[")[0].strip()
        raise BodyError(f"the values do not fit the model: {reason}") from error
    return result


def _bytes_in(value: Any) -> Any:
    """Return the value with each ``{"b64": ...}`` decoded, the JSON form of bytes."""
    if isinstance(value, dict) and value.keys() == {"b64"}:
        return base64.b64decode(value["b64"])
    return [_bytes_in(item) for item in value] if isinstance(value, list) else value
