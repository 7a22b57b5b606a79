"""Built-in script for a scikit-learn model: ``{"data": [[...]], "method": "predict"}`` → ``{"result": [...]}``."""

from __future__ import annotations

from typing import Any

from mljupyter.scoring.columns import MOST_NAMES, names_text
from mljupyter.scoring.nocode.bodies import BodyError, frame_of, object_of, plain, refusal
from mljupyter.scoring.nocode.model_files import only_file
from mljupyter.scoring.open_inference.tensors import BYTES, Tensor, datatype_of, texts

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples")
_MATRIX = "input"
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


def tensors() -> tuple[str, list[Tensor], list[Tensor]] | str:
    """Describe the tensors of the model: a matrix, or for a model that was fitted with a data frame its columns."""
    return tensors_of(_model)


def infer(tensors: dict[str, Any], outputs: list[str], parameters: dict[str, Any]) -> Any:
    """Call the methods of the model that are named as outputs, by default `predict`."""
    return infer_with(_model, tensors, outputs)


def tensors_of(model: Any) -> tuple[str, list[Tensor], list[Tensor]] | str:
    """Describe the tensors of a scikit-learn model, which may be fitted with a data frame or an array."""
    names, width = getattr(model, "feature_names_in_", None), getattr(model, "n_features_in_", -1)
    inputs = [Tensor(_MATRIX, "FP64", (-1, -1 if width is None else int(width)), any_type=True)]
    if names is not None:
        # The model does not know the types of its columns. Texts come as BYTES.
        inputs += [Tensor(str(name), "FP64", (-1,), any_type=True, column=True, any_kind=True) for name in names]
    classes = getattr(model, "classes_", None)
    return "sklearn", inputs, [_output(name, classes) for name in METHODS if hasattr(model, name)]


def infer_with(model: Any, tensors: dict[str, Any], outputs: list[str]) -> dict[str, Any]:
    """Call the methods of a model that are named as outputs; without any, `predict` or the first one that it has."""
    able = [name for name in METHODS if hasattr(model, name)]
    for name in outputs:
        if name not in able:
            raise BodyError(f"the model has no output {name[:100]!r}; its outputs: {', '.join(able)}")
    rows = _table(model, tensors)
    found = {}
    for name in outputs or able[:1]:
        try:
            result = getattr(model, name)(rows)
        except (ValueError, TypeError, KeyError) as error:
            raise BodyError(f"the model cannot take these rows: {error}") from error
        found[name] = result.toarray() if hasattr(result, "toarray") else result
    return found


def _table(model: Any, tensors: dict[str, Any]) -> Any:
    names = getattr(model, "feature_names_in_", None)
    if _MATRIX in tensors and len(tensors) == 1:
        if names is None:
            return tensors[_MATRIX]
        import pandas

        return pandas.DataFrame(tensors[_MATRIX], columns=list(names))
    if names is None or _MATRIX in tensors:
        raise BodyError(f"the request needs the input {_MATRIX!r} alone")
    missing = [name for name in names if str(name) not in tensors]
    if missing:
        raise BodyError(
            f"the request lacks the inputs {names_text(missing, MOST_NAMES)}, or the input {_MATRIX!r} alone"
        )
    sizes = {name: len(array) for name, array in tensors.items()}
    if len(set(sizes.values())) > 1:
        raise BodyError(f"the inputs are columns of one table, but have {names_text(sorted(set(sizes.values())))} rows")
    import pandas

    columns = {name: tensors[str(name)].ravel() for name in names}
    return pandas.DataFrame(
        {name: texts(str(name), array) if array.dtype.kind == "O" else array for name, array in columns.items()}
    )


def _output(name: str, classes: Any) -> Tensor:
    if name == "predict":
        return Tensor(name, "FP64" if classes is None else datatype_of(classes.dtype) or BYTES, (-1,))
    return Tensor(name, "FP64", (-1,) if name == "score_samples" else (-1, -1))


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
