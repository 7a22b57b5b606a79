"""Built-in script that detects the kind of model: MLflow, SavedModel, ONNX or scikit-learn."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from mljupyter.scoring.nocode.model_files import NoCodeError, model_root

_MARKS = (("mlflow", "MLmodel"), ("tensorflow", "saved_model.pb"), ("tensorflow", "saved_model.pbtxt"))
_SUFFIXES = (("onnx", (".onnx",)), ("sklearn", (".pkl", ".pickle", ".joblib")))
_chosen: ModuleType


def init() -> None:
    """Detect the kind of model by its files, and load it."""
    global _chosen
    _chosen = importlib.import_module(f"mljupyter.scoring.nocode.{_kind()}")
    _chosen.init()


def run(data: str) -> Any:
    """Answer with the built-in script for this kind of model."""
    return _chosen.run(data)


def tensors() -> Any:
    """Describe the tensors of the model."""
    return _chosen.tensors()


def infer(tensors: dict[str, Any], outputs: list[str], parameters: dict[str, Any]) -> Any:
    """Answer tensors with the built-in script for this kind of model."""
    return _chosen.infer(tensors, outputs, parameters)


def _kind() -> str:
    root = model_root()
    files = [root] if root.is_file() else [path for path in root.rglob("*") if path.is_file()]
    for kind, name in _MARKS:
        if any(path.name == name for path in files):
            return kind
    for kind, suffixes in _SUFFIXES:
        if any(path.suffix.lower() in suffixes for path in files):
            return kind
    raise NoCodeError(
        f"{root} does not hold a model that can be served without a script: no MLmodel, saved_model.pb, *.onnx, *.pkl, "
        "*.pickle or *.joblib"
    )
