"""Scoring script of an estimator, generated with the schema of its input and with batching."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

from mljupyter.deploy.estimator.checks import EstimatorError
from mljupyter.deploy.estimator.register import MODEL_FILE
from mljupyter.deploy.estimator.schema import input_row, output_for
from mljupyter.visible import one_line

GENERATED = "# Generated for a"

_HEAD = """\
{generated} {kind}: its input is described by one row, and rows of several requests are answered together.
import os

import joblib
{imports}
from inference_schema.schema_decorators import input_schema, output_schema

batching = {batching}
{columns}

def init():
    global model
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "{file}"))

"""
_FRAME = '''
class Rows(PandasParameterType):
    """Rows as objects by column, or as lists in the order of the columns."""

    def deserialize_input(self, input_data):
        if isinstance(input_data, list) and input_data and isinstance(input_data[0], list):
            input_data = [dict(zip(COLUMNS, row, strict=True)) for row in input_data]
        return super().deserialize_input(input_data)[COLUMNS]

'''
_RUN = """
@input_schema("data", {input})
@output_schema(NumpyParameterType(np.array({output})))
def run(data):
    return {result}
"""


def scoring_script(estimator: Any, sample: Any = None, method: str = "predict", name: str = "the estimator") -> str:
    """Return the text of a scoring script for an estimator.

    Requests are ``{"data": rows}``, each row a list; an estimator that was fitted with a data frame takes objects by
    column as well. The answer is a list with one result for each row.

    Parameters:
        estimator: a fitted estimator.
        sample: rows of the data that it was fitted with; the first one is the example in the description of the API.
            Without a sample, the columns are those that scikit-learn has stored in the estimator.
        method: ``predict``, ``predict_proba``, ``predict_log_proba`` or ``decision_function``.
        name: its name in error messages.

    Raises:
        EstimatorError: the sample does not fit, or one is needed; or the package ``inference-schema`` is missing.

    """
    if importlib.util.find_spec("inference_schema") is None:
        raise EstimatorError(
            "The description of an estimator's input needs the package inference-schema: %pip install inference-schema"
        )
    row = input_row(estimator, sample, name)
    output = output_for(estimator, method, row, name)
    frame = not hasattr(row, "dtype")
    by_row = hasattr(output, "shape") and output.shape[:1] == (len(row),)
    head = _HEAD.format(
        generated=GENERATED,
        kind=one_line(type(estimator).__name__),
        imports=_imports(frame),
        batching=by_row,
        columns=f"COLUMNS = {_list(list(row.columns))}\n" if frame else "",
        file=MODEL_FILE,
    )
    return (
        head
        + (_FRAME if frame else "")
        + _RUN.format(
            input=f"Rows({frame_literal(row)})" if frame else _array_type(row),
            output=repr(_rounded(_plain(output))),
            result=_result(method, output, by_row=by_row),
        )
    )


def _imports(frame: bool) -> str:
    lines = ["import numpy as np", *(["import pandas as pd"] if frame else [])]
    lines.append("from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType")
    if frame:
        lines.append("from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType")
    return "\n".join(lines)


def _result(method: str, output: Any, *, by_row: bool) -> str:
    call = f"model.{method}(data)"
    if by_row:
        return f"{call}.to_numpy().tolist()" if hasattr(output, "to_numpy") else f"{call}.tolist()"
    if isinstance(output, list) and all(hasattr(part, "tolist") for part in output):
        return f"[part.tolist() for part in {call}]"
    raise EstimatorError(
        f"{method}() returns a {type(output).__name__}: the generated scoring script can return arrays only. "
        "Write your own scoring script."
    )


def _array_type(row: Any) -> str:
    if row.dtype.kind == "U":
        # Types are not enforced: the type of this sample would cut longer texts off.
        return f"NumpyParameterType(np.array({_list(row.tolist())}), enforce_column_type=False)"
    if not row.any():
        return f"NumpyParameterType(np.zeros({row.shape}))"
    return f"NumpyParameterType(np.array({_list(row.tolist())}))"


def frame_literal(row: Any) -> str:
    """Return Python code for a data frame with one row, types included.

    Raises:
        EstimatorError: a column holds a value that JSON cannot express.

    """
    columns = [f"    {_text(column)}: {_column(row[column], column)}," for column in row.columns]
    return "\n".join(["pd.DataFrame({", *columns, "})"])


def _column(values: Any, name: str) -> str:
    import pandas as pd

    kind = values.dtype
    value = values.iloc[0]
    if isinstance(kind, pd.CategoricalDtype):
        return f"pd.Categorical({[_cell(value, name)]!r}, categories={_list(list(kind.categories))})"
    if getattr(kind, "kind", "") == "M":
        return f"pd.to_datetime([{_text(value.isoformat())}])"
    return repr([_cell(value, name)])


def _cell(value: Any, name: str) -> Any:
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float) and plain != plain:
        return 0.0
    if isinstance(plain, (bool, int, float, str)):
        return plain
    raise EstimatorError(
        f"Column {name!r} of the sample holds a {type(value).__name__}, which JSON cannot represent: convert it to "
        "numbers, strings or booleans."
    )


def _plain(output: Any) -> Any:
    if isinstance(output, list):
        return [part.tolist() for part in output]
    rows = output.to_numpy() if hasattr(output, "to_numpy") else output
    return rows.tolist()


def _rounded(value: Any) -> Any:
    """Return an example without the last digits: they differ between machines, and so would the script."""
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _list(values: Any) -> str:
    return repr([value.item() if hasattr(value, "item") else value for value in values])


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
