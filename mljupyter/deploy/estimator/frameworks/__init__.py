"""How models of each framework are saved, loaded and called: in the framework's own format, without its classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mljupyter.deploy.estimator.frameworks import boosting, networks, pickled, statistics
from mljupyter.deploy.estimator.frameworks.serving_format import ServingFormat

__all__ = ["ServingFormat", "format_of", "is_model", "module_names"]

_Reader = Callable[[Any, str, Any, str], "ServingFormat | None"]
_READERS: dict[str, _Reader] = {
    "xgboost": boosting.xgboost_format,
    "lightgbm": boosting.lightgbm_format,
    "catboost": boosting.catboost_format,
    "torch": networks.torch_format,
    "keras": networks.keras_format,
    "onnx": networks.onnx_format,
    "onnxruntime": networks.onnxruntime_format,
    "statsmodels": statistics.statsmodels_format,
}
_WITHOUT_PREDICT = {"torch": "Module", "onnx": "ModelProto", "onnxruntime": "InferenceSession"}
"""The classes of models that have no ``predict()``, by the package that defines them."""


def format_of(value: Any, method: str = "predict", sample: Any = None, name: str = "the model") -> ServingFormat:
    """Return how a model is saved and called. What no framework of the list knows is pickled by joblib.

    Parameters:
        value: the model.
        method: the method that answers requests.
        sample: rows of its input, which some frameworks need; None if there are none.
        name: its name in error messages.

    Raises:
        EstimatorError: the model cannot be served; the text has the reason and the way out.

    """
    for module in module_names(value):
        reader = _READERS.get(module)
        found = reader(value, method, sample, name) if reader is not None else None
        if found is not None:
            return found
    return pickled.joblib_format(value, method)


def module_names(value: Any) -> list[str]:
    """Return the packages of the classes of a value, its own class first; no code of the value is run."""
    return list(dict.fromkeys(str(kind.__module__).partition(".")[0] for kind in type(value).__mro__))


def is_model(value: Any) -> bool:
    """Return whether a value is a model: its class has ``predict()``, or is a known one without it.

    No code of the value is run.
    """
    if isinstance(value, type):
        return False
    if callable(getattr(type(value), "predict", None)):
        return True
    kinds = {(str(kind.__module__).partition(".")[0], kind.__name__) for kind in type(value).__mro__}
    return any(item in kinds for item in _WITHOUT_PREDICT.items()) or _wraps_predict(value)


def _wraps_predict(value: Any) -> bool:
    """Return whether a value is a result of statsmodels, whose wrapper passes ``predict()`` on to the result."""
    return type(value).__name__.endswith("ResultsWrapper") and "statsmodels" in module_names(value)
