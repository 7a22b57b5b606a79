"""Built-in script for a scikit-learn model: ``{"data": [[...]], "method": "predict"}`` → ``{"result": [...]}``."""

from __future__ import annotations

from typing import Any

from mljupyter.scoring.nocode.bodies import BodyError, frame_of, object_of, plain, refusal
from mljupyter.scoring.nocode.model_files import only_file

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples")
_model: Any = None


def init() -> None:
    """Load the only `.pkl`, `.pickle` or `.joblib` file."""
    import joblib

    use(joblib.load(only_file((".pkl", ".pickle", ".joblib"))))


def use(model: Any) -> None:
    """Serve this model."""
    global _model
    _model = model


def run(data: str) -> Any:
    """Call a method of the model on rows (lists, or objects by column); by default predict_proba if it exists."""
    try:
        body = object_of(data)
        method = body.get("method") or ("predict_proba" if hasattr(_model, "predict_proba") else "predict")
        if method not in METHODS or not hasattr(_model, method):
            able = ", ".join(name for name in METHODS if hasattr(_model, name))
            raise BodyError(f"the model has no method {method!r}; methods of this model: {able}")
        if "data" not in body:
            raise BodyError('the request body has no "data": send {"data": [[...]], "method": "predict"}')
        return {"result": apply(method, rows_of(body["data"]))}
    except BodyError as error:
        return refusal(error)


def rows_of(rows: Any) -> Any:
    """Return rows in the form the model takes: a data frame for objects, taken by their names, otherwise the lists."""
    if not isinstance(rows, list):
        raise BodyError(f'"data" must be a list of rows, not {type(rows).__name__}')
    if rows and all(isinstance(row, dict) for row in rows):
        return frame_of(rows, _model)
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            raise BodyError(f"row {number} is an object, and row 0 is not: send all rows as objects, or all as lists")
    return rows


def apply(method: str, rows: Any) -> Any:
    """Return the result of a method as JSON types; raise BodyError if the rows do not fit the model."""
    try:
        result = getattr(_model, method)(rows)
    except (ValueError, TypeError, KeyError) as error:
        raise BodyError(f"the model cannot take these rows: {error}") from error
    return plain(result.toarray() if hasattr(result, "toarray") else result)
