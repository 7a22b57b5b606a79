"""Models of PyTorch, Keras and ONNX: their own files, which hold the computation, so that no class is needed."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from mljupyter.deploy.estimator.frameworks.serving_format import ServingFormat
from mljupyter.deploy.estimator.problems import EstimatorError

_OWN_SCRIPT = "Write a scoring script for it: a %%score cell, and %deploy NAME --model MODEL --score SCRIPT."
_ONNX_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(string)": "str",
}


def torch_format(value: Any, method: str, sample: Any, name: str) -> ServingFormat | None:
    """Return the format of a module of PyTorch: TorchScript if it is scripted, else a program of ``torch.export``."""
    import torch

    if not isinstance(value, torch.nn.Module):
        return None
    kind = type(value).__name__
    _only_predict(kind, method, name, "calls it with the rows")
    if sample is None:
        raise EstimatorError(f"{name} is a module of PyTorch, which does not know its input: give rows, --sample X[:2]")
    scripted = isinstance(value, torch.jit.ScriptModule)
    rows = _array(sample, _torch_type(value))

    def called(data: Any) -> Any:
        was_training = value.training
        value.eval()
        try:
            with torch.no_grad():
                return _numpy(value(torch.from_numpy(data).to(_device(value))), name)
        finally:
            value.train(was_training)

    def save(path: Path) -> None:
        path.write_bytes(content())

    @cache
    def content() -> bytes:
        was_training = value.training
        value.eval()
        try:
            return _scripted(value) if scripted else _exported(value, rows, name)
        finally:
            value.train(was_training)

    return ServingFormat(
        framework="Custom",
        library="PyTorch",
        version=torch.__version__,
        file="model.pt" if scripted else "model.pt2",
        save=save,
        imports=("import torch",),
        load="torch.jit.load(path, map_location='cpu')" if scripted else "torch.export.load(path).module()",
        answer="answered(model, data)",
        prepare=_TORCH,
        call=called,
        packages=("torch",),
        classes=(),
        shape=rows.shape[1:],
        dtype=str(rows.dtype),
        arrays_only=True,
        needs_sample=True,
    )


_TORCH = """\
def answered(model, data):
    with torch.no_grad():
        return model(torch.from_numpy(data)).numpy()

"""


def _torch_type(value: Any) -> str:
    import torch

    kinds = [part.dtype for part in (*value.parameters(), *value.buffers()) if part.dtype.is_floating_point]
    return "float64" if kinds and kinds[0] == torch.float64 else "float32"


def _device(value: Any) -> Any:
    return next((part.device for part in value.parameters()), "cpu")


def _exported(value: Any, rows: Any, name: str) -> bytes:
    import torch

    two = torch.from_numpy(rows[[0, -1]] if len(rows) > 1 else rows[[0, 0]])
    device, buffer = _device(value), io.BytesIO()
    try:
        value.to("cpu")
        program = torch.export.export(value, (two,), dynamic_shapes=({0: torch.export.Dim.AUTO},))
        torch.export.save(program, buffer)
    except Exception as error:  # noqa: BLE001 - the code of the module runs, which may raise anything
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise EstimatorError(
            f"{name} cannot be deployed: torch.export cannot save it: {reason}\n"
            f"Deploy torch.jit.script({name}) instead, or a module whose forward() takes one tensor and does not "
            "branch on its values."
        ) from None
    finally:
        value.to(device)
    return buffer.getvalue()


def _scripted(value: Any) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.jit.save(value, buffer)
    return buffer.getvalue()


def _numpy(output: Any, name: str) -> Any:
    if not hasattr(output, "detach"):
        raise EstimatorError(
            f"{name} returns a {type(output).__name__}: the generated scoring script can answer with one tensor only.\n"
            f"{_OWN_SCRIPT}"
        )
    return output.detach().cpu().numpy()


def keras_format(value: Any, method: str, _: Any, name: str) -> ServingFormat | None:
    """Return the format of a model of Keras 3: a .keras file, loaded with the same backend."""
    import keras

    if not isinstance(value, keras.Model):
        return None
    _only_predict(type(value).__name__, method, name, "is Keras' predict()")
    inputs = value.inputs if value.built and hasattr(value, "inputs") else None
    if not inputs:
        raise EstimatorError(
            f"{name} is a {type(value).__name__} without inputs: give it an Input layer, or fit it first."
        )
    shape = tuple(inputs[0].shape[1:])
    if len(inputs) > 1 or None in shape:
        raise EstimatorError(
            f"{name} has {len(inputs)} inputs of the shapes {', '.join(str(each.shape) for each in inputs)}: the "
            f"generated scoring script serves one input of a fixed shape.\n{_OWN_SCRIPT}"
        )
    backend = keras.backend.backend()
    return ServingFormat(
        framework="Custom",
        library="Keras",
        version=keras.__version__,
        file="model.keras",
        save=lambda path: _save_keras(value, path),
        imports=(f"os.environ['KERAS_BACKEND'] = {backend!r}", "import keras"),
        load="keras.saving.load_model(path)",
        answer="model.predict_on_batch(data)",
        call=value.predict_on_batch,
        packages=("keras", backend),
        classes=tuple(type(layer) for layer in (value, *value._flatten_layers(include_self=False))),
        shape=shape,
        dtype=str(inputs[0].dtype),
        arrays_only=True,
    )


def _save_keras(value: Any, path: Path) -> None:
    """Write a .keras file without the times in it, so that the same model is the same bytes."""
    written = path.with_name(f"written-{path.name}")
    try:
        value.save(written)
        with zipfile.ZipFile(written) as old, zipfile.ZipFile(path, "w") as new:
            for entry in sorted(old.namelist()):
                content = old.read(entry)
                if entry == "metadata.json":
                    kept = {key: text for key, text in json.loads(content).items() if key != "date_saved"}
                    content = json.dumps({**kept, "date_saved": ""}).encode()
                new.writestr(zipfile.ZipInfo(entry), content)
    finally:
        written.unlink(missing_ok=True)


def onnx_format(value: Any, method: str, sample: Any, name: str) -> ServingFormat | None:
    """Return the format of a model of ONNX, as its file is read by ONNX Runtime."""
    if type(value).__name__ != "ModelProto":
        return None
    content = value.SerializeToString(deterministic=True)
    return _onnx(_session(content, name), content, method, name)


def onnxruntime_format(value: Any, method: str, sample: Any, name: str) -> ServingFormat | None:
    """Return the format of a session of ONNX Runtime: the model that it was made from."""
    if type(value).__name__ != "InferenceSession":
        return None
    content = value._model_bytes or Path(value._model_path).read_bytes()
    return _onnx(value, content, method, name)


def _session(content: bytes, name: str) -> Any:
    try:
        import onnxruntime  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ModuleNotFoundError:
        raise EstimatorError(
            f"{name} is a model of ONNX, which is served by ONNX Runtime: %pip install onnxruntime"
        ) from None
    try:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - its classes of errors have no common base
        reason = str(error).strip().splitlines()[0][:200]
        raise EstimatorError(f"{name} cannot be deployed: ONNX Runtime cannot load it: {reason}") from None


def _onnx(session: Any, content: bytes, method: str, name: str) -> ServingFormat:
    import onnxruntime  # type: ignore[import-untyped, import-not-found, unused-ignore]

    inputs = session.get_inputs()
    kinds = {each.name: _ONNX_TYPES.get(each.type) for each in inputs}
    shapes = {each.name: tuple(each.shape[1:]) for each in inputs}
    single = len(inputs) == 1
    known = all(kinds.values()) and all(isinstance(size, int) for shape in shapes.values() for size in shape)
    if not known or not (single or all(shape == (1,) for shape in shapes.values())):
        found = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs)
        raise EstimatorError(
            f"{name} has the inputs {found}: the generated scoring script serves one input of a fixed shape, or one "
            "input of the shape [None, 1] for each column.\nRegister the file instead, which is served without a "
            "script: Model.register(..., model_framework=Model.Framework.ONNX)."
        )
    output = _onnx_output(session, method, name)
    (first, kind), *_ = kinds.items()
    feed = f"{{{first!r}: data{'.astype(object)' if kind == 'str' else ''}}}"
    if not single:
        columns = {column: "object" if each == "str" else each for column, each in kinds.items()}
        feed = f"{{name: data[[name]].to_numpy(dtype=kind) for name, kind in {columns!r}.items()}}"
    expression = f"model.run([{output!r}], {feed})[0]"
    return ServingFormat(
        framework="Onnx",
        version=onnxruntime.__version__,
        file="model.onnx",
        save=lambda path: _write(path, content),
        imports=("import onnxruntime",),
        load="onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])",
        answer=expression,
        call=_evaluated(expression, session),
        packages=("onnxruntime",),
        classes=(),
        columns=None if single else tuple(kinds),
        texts=() if single else tuple(column for column, each in kinds.items() if each == "str"),
        shape=shapes[first] if single else None,
        dtype=str(kind),
        arrays_only=single,
        framed=not single,
    )


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _evaluated(expression: str, model: Any) -> Callable[[Any], Any]:
    return lambda data: eval(expression, {"model": model, "data": data})  # noqa: S307 - made above from quoted names


def _onnx_output(session: Any, method: str, name: str) -> str:
    outputs = session.get_outputs()
    if method == "predict":
        return str(outputs[0].name)
    found = [each for each in outputs if "prob" in each.name.lower()] if method == "predict_proba" else []
    if not found:
        names = ", ".join(each.name for each in outputs)
        raise EstimatorError(f"{name} has no output for {method}(). It has: {names}; predict answers with the first.")
    if not found[0].type.startswith("tensor"):
        raise EstimatorError(
            f"{name} has probabilities of the type {found[0].type}: convert it with options={{'zipmap': False}}."
        )
    return str(found[0].name)


def _only_predict(kind: str, method: str, name: str, what: str) -> None:
    if method != "predict":
        raise EstimatorError(f"{name} is a {kind}, which has no {method}(): leave out --method. The default {what}.")


def _array(sample: Any, number: str) -> Any:
    import numpy as np

    torch = sys.modules.get("torch")
    if torch is not None and isinstance(sample, torch.Tensor):
        sample = sample.detach().cpu().numpy()
    rows = np.asarray(sample)
    if rows.dtype.kind not in "iufb" or rows.ndim == 0 or not len(rows):
        raise EstimatorError(f"The sample is a {type(sample).__name__} without numbers: give rows, --sample X[:2]")
    return np.ascontiguousarray(rows.astype("int64" if rows.dtype.kind in "iu" else number))
