"""Built-in script for an ONNX model, with the JSON bodies of ONNX Runtime's server.

``{"inputs": {NAME: {"dims": ["1", "4"], "dataType": 1, "rawData": BASE64}}, "outputFilter": [...]}`` is answered
``{"outputs": {NAME: {"dims": [...], "dataType": 1, "rawData": BASE64}}}``. Instead of `rawData` the numbers may
be in `floatData`, `int32Data`, `int64Data`, `doubleData`, `uint64Data` or `stringData`.
"""

from __future__ import annotations

import base64
import binascii
import os
from typing import Any

from mljupyter.scoring.columns import MOST_NAMES, names_text
from mljupyter.scoring.nocode.bodies import BodyError, object_of, plain, refusal
from mljupyter.scoring.nocode.model_files import NoCodeError, only_file
from mljupyter.scoring.open_inference.tensors import BYTES, TYPES, Tensor, texts

_TYPES = {
    1: "<f4",
    2: "u1",
    3: "i1",
    4: "<u2",
    5: "<i2",
    6: "<i4",
    7: "<i8",
    9: "?",
    10: "<f2",
    11: "<f8",
    12: "<u4",
    13: "<u8",
}
"""NumPy's names of the element types of ONNX."""
_STRING = 8
_ELEMENTS = {
    "tensor(bool)": "|b1",
    "tensor(uint8)": "|u1",
    "tensor(uint16)": "<u2",
    "tensor(uint32)": "<u4",
    "tensor(uint64)": "<u8",
    "tensor(int8)": "|i1",
    "tensor(int16)": "<i2",
    "tensor(int32)": "<i4",
    "tensor(int64)": "<i8",
    "tensor(float16)": "<f2",
    "tensor(float)": "<f4",
    "tensor(double)": "<f8",
    "tensor(string)": "O",
}
"""NumPy's names of the types of tensors of ONNX Runtime."""
_MOST_TEXT = 1000
_LISTS = ("floatData", "int32Data", "int64Data", "doubleData", "uint64Data")
PROVIDERS = "MLJUPYTER_ONNX_PROVIDERS"
"""The environment variable that chooses the hardware of a session."""
_PROVIDER = "ExecutionProvider"
_CPU = "CPUExecutionProvider"
_DEFAULT = {
    *("CUDAExecutionProvider", "ROCMExecutionProvider", "MIGraphXExecutionProvider", "OpenVINOExecutionProvider"),
    *("CoreMLExecutionProvider", "DmlExecutionProvider", _CPU),
}
_session: Any = None


def init() -> None:
    """Load the only `.onnx` file."""
    global _session
    path = only_file((".onnx",))
    try:
        import onnxruntime  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ModuleNotFoundError:
        raise NoCodeError(
            "an ONNX model needs the package onnxruntime in the environment of the service: pip install onnxruntime"
        ) from None
    chosen = providers(onnxruntime.get_available_providers(), os.environ.get(PROVIDERS, ""))
    _session = onnxruntime.InferenceSession(str(path), providers=chosen)
    print(f"ONNX Runtime runs the model with {_session.get_providers()[0]}.")


def providers(available: list[str], wanted: str) -> list[str]:
    """Return the execution providers for a session, the first one preferred.

    Parameters:
        available: those that the installed ONNX Runtime has.
        wanted: a list of names, separated by commas, with or without ``ExecutionProvider``; empty for the default:
            CUDA, ROCm, OpenVINO, CoreML or DirectML if it has them. TensorRT builds its engine for minutes at the first
            start, so it is used only if it is named.

    Example:
        >>> providers(["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"], "")
        ['CUDAExecutionProvider', 'CPUExecutionProvider']

    """
    if not wanted.strip():
        return [name for name in available if name in _DEFAULT] or [_CPU]
    names = {name.removesuffix(_PROVIDER).lower(): name for name in available}
    found = []
    for part in (part.strip() for part in wanted.split(",")):
        name = names.get(part.removesuffix(_PROVIDER).lower()) if part else None
        if name is None:
            known = ", ".join(name.removesuffix(_PROVIDER) for name in available)
            raise NoCodeError(f"{PROVIDERS} is {wanted!r}: the installed ONNX Runtime has {known}, and no {part!r}.")
        found.append(name)
    return found if _CPU in found else [*found, _CPU]


def run(data: str) -> Any:
    """Run the model on named tensors; return the outputs in `outputFilter`, or all."""
    try:
        body = object_of(data)
        names = _output_names(body.get("outputFilter"))
        values = _session.run(names, _inputs(body.get("inputs")))
        return {"outputs": {name: _encoded(value) for name, value in zip(names, values)}}  # noqa: B905 (Python 3.9 has no strict)
    except BodyError as error:
        return refusal(error)
    except Exception as error:
        if type(error).__name__ in ("InvalidArgument", "Fail") or isinstance(error, ValueError):
            return refusal(error)
        raise


def tensors() -> tuple[str, list[Tensor], list[Tensor]] | str:
    """Describe the tensors of the model; outputs that are maps or sequences are left out."""
    inputs = [_tensor(one) for one in _session.get_inputs()]
    if None in inputs:
        kinds = names_text([f"{one.name} ({one.type})" for one in _session.get_inputs()], MOST_NAMES)
        return f"the model has inputs that are no tensors: {kinds}; send requests to /score"
    outputs = [_tensor(one) for one in _session.get_outputs()]
    return "onnxruntime_onnx", [one for one in inputs if one], [one for one in outputs if one]


def infer(tensors: dict[str, Any], outputs: list[str], parameters: dict[str, Any]) -> Any:
    """Run the model on tensors; return the outputs that are asked for, or all."""
    missing = [one.name for one in _session.get_inputs() if one.name not in tensors]
    if missing:
        raise BodyError(f"the request lacks the inputs {names_text(missing, MOST_NAMES)}")
    kinds = {one.name: one.type for one in _session.get_inputs()}
    feed = {
        name: texts(name, value) if value.dtype.kind == "O" else value.astype(_ELEMENTS[kinds[name]], copy=False)
        for name, value in tensors.items()
    }
    names = _output_names(outputs)
    try:
        return dict(zip(names, _session.run(names, feed)))  # noqa: B905 (Python 3.9 has no strict)
    except Exception as error:
        if type(error).__name__ in ("InvalidArgument", "Fail") or isinstance(error, ValueError):
            raise BodyError(str(error)[:_MOST_TEXT]) from error
        raise


def _tensor(one: Any) -> Tensor | None:
    kind = _ELEMENTS.get(one.type)
    if kind is None:
        return None
    datatype = BYTES if kind == "O" else next(name for name, code in TYPES.items() if code[-2:] == kind[-2:])
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in one.shape)
    return Tensor(one.name, datatype, shape)


def _output_names(wanted: Any) -> list[str]:
    present = [output.name for output in _session.get_outputs()]
    for name in wanted or ():
        if name not in present:
            raise BodyError(f"the model has no output {name!r}; its outputs: {names_text(present, MOST_NAMES)}")
    return list(wanted or present)


def _inputs(tensors: Any) -> dict[str, Any]:
    present = [one.name for one in _session.get_inputs()]
    if not isinstance(tensors, dict):
        raise BodyError(
            f'the request body has no object "inputs"; the inputs of the model: {names_text(present, MOST_NAMES)}'
        )
    unknown = [name for name in tensors if name not in present]
    if unknown:
        raise BodyError(f"the model has no input {unknown[0]!r}; its inputs: {names_text(present, MOST_NAMES)}")
    return {name: _decoded(name, tensor) for name, tensor in tensors.items()}


def _decoded(name: str, tensor: Any) -> Any:
    import numpy

    try:
        shape = [int(size) for size in tensor["dims"]]
        kind = int(tensor["dataType"])
        if kind == _STRING:
            return numpy.array([_text(item) for item in tensor["stringData"]], dtype=object).reshape(shape)
        if "rawData" in tensor:
            raw = base64.b64decode(tensor["rawData"], validate=True)
            return numpy.frombuffer(raw, dtype=_TYPES[kind]).reshape(shape)
        numbers = next(tensor[field] for field in _LISTS if field in tensor)
        return (
            numpy.array([float(item) if kind in (1, 10, 11) else int(item) for item in numbers])
            .astype(_TYPES[kind])
            .reshape(shape)
        )
    except (KeyError, TypeError, ValueError, StopIteration, binascii.Error) as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise BodyError(f"the tensor {name!r} needs dims, dataType and matching rawData ({reason})") from None


def _text(item: str) -> str:
    return base64.b64decode(item, validate=True).decode()


def _encoded(value: Any) -> Any:
    """Return a tensor in the form of requests; sequences and maps become lists and objects."""
    import numpy

    if not isinstance(value, numpy.ndarray):
        return plain(value)
    dims = [str(size) for size in value.shape]
    if value.dtype.kind in "OUS":
        texts = [base64.b64encode(str(item).encode()).decode() for item in value.ravel()]
        return {"dims": dims, "dataType": _STRING, "stringData": texts}
    kind = next(number for number, code in _TYPES.items() if numpy.dtype(code) == value.dtype)
    raw = numpy.ascontiguousarray(value).astype(_TYPES[kind], copy=False).tobytes()
    return {"dims": dims, "dataType": kind, "rawData": base64.b64encode(raw).decode()}
