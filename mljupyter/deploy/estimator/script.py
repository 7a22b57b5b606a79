"""Scoring script of an estimator, generated with the schema of its input and with batching."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mljupyter.deploy.estimator.frameworks import ServingFormat, format_of
from mljupyter.deploy.estimator.problems import EstimatorError
from mljupyter.deploy.estimator.schema import columns_with_missing, input_row, output_for, unused_columns
from mljupyter.visible import one_line

GENERATED = "# Generated for a"
EXTRA_COLUMNS = ("ignore", "refuse")
_MOST_SHOWN = 1000
_TOLERANCE = 1e-4

_SCRIPT = """\
{generated} {kind}: its input is described by one row, and rows of several requests are answered together.
import os

{imports}
from inference_schema.schema_decorators import input_schema, output_schema
from mljupyter.scoring.rows import {rows}

batching = {batching}
rows = {input}


def init():
    global model
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "{file}")
    model = {load}


{answer}


@input_schema("data", rows)
@output_schema(NumpyParameterType(np.array({output})))
def run(data):
    return {result}
"""


def scoring_script(
    estimator: Any,
    sample: Any = None,
    method: str = "predict",
    name: str = "the estimator",
    extra_columns: str = "ignore",
    form: ServingFormat | None = None,
) -> str:
    """Return the text of a scoring script for an estimator.

    Requests are ``{"data": rows}``, each row a list; an estimator that was fitted with a data frame takes objects by
    column as well. The answer is a list with one result for each row. Rows that do not fit are answered 400 with the
    number of the row, the column and what was expected; columns that a pipeline drops are not required.

    Parameters:
        estimator: a fitted estimator, or a model of another framework.
        sample: rows of the data that it was fitted with; the first one is the example in the description of the API.
            Without a sample, the columns are those that are stored in the estimator.
        method: ``predict``, ``predict_proba``, ``predict_log_proba`` or ``decision_function``.
        name: its name in error messages.
        extra_columns: ``ignore`` leaves out values of columns that the estimator does not know, ``refuse`` answers 400.
        form: how it is saved and called, as `check_estimator` has returned it.

    Raises:
        EstimatorError: the sample does not fit, or one is needed; the model answers differently after it was saved; or
            the package ``inference-schema`` is missing.

    """
    if importlib.util.find_spec("inference_schema") is None:
        raise EstimatorError(
            "The description of an estimator's input needs the package inference-schema: %pip install inference-schema"
        )
    if extra_columns not in EXTRA_COLUMNS:
        raise EstimatorError(f"Unknown columns can be ignored or refused, not {extra_columns!r}: ignore, refuse.")
    if form is None:
        form = format_of(estimator, method, sample, name)
    row = input_row(estimator, sample, name, form)
    frame = not hasattr(row, "dtype")
    call = _as_arrays(form.call or getattr(estimator, method), form if frame else None)
    output = output_for(call, row, name, method)
    if form.checked:
        _check_saved(form, row, output, name, frame=frame)
    by_row, result = _result(call, row, output, method)
    return _SCRIPT.format(
        generated=GENERATED,
        kind=one_line(type(estimator).__name__),
        imports=_imports(form, frame),
        rows="FrameRows" if frame else "ArrayRows",
        batching=by_row,
        input=_frame_rows(estimator, call, row, extra_columns) if frame else _array_rows(call, row),
        file=form.file,
        load=form.load,
        answer=form.code(frame=frame),
        output=repr(_rounded(_plain(output))),
        result=result,
    )


def _as_arrays(call: Callable[[Any], Any], form: ServingFormat | None) -> Callable[[Any], Any]:
    """Return the function for frames, where a model takes arrays only; without a format, the function itself."""
    if form is None or not form.arrays_only:
        return call
    return lambda data: call(data.to_numpy(dtype=form.dtype))


def _check_saved(form: ServingFormat, row: Any, output: Any, name: str, *, frame: bool) -> None:
    """Check that the model answers as before when it was saved and loaded as a replica does it.

    Raises:
        EstimatorError: it cannot be saved or loaded, or answers differently.

    """
    import numpy as np

    try:
        with tempfile.TemporaryDirectory(prefix="mljupyter-estimator-") as directory, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(directory, form.file)
            form.save(path)
            answer = form.function(path, frame=frame)(row)
    except EstimatorError:
        raise
    except Exception as error:  # noqa: BLE001 - a library may raise anything
        reason = (str(error).strip().splitlines() or [""])[0][:200]
        raise EstimatorError(
            f"{name} cannot be deployed: saved as {form.file} and loaded again, it fails: {type(error).__name__}: "
            f"{reason}\nClasses and functions of your own must be in a module that replicas have: --source-directory ."
        ) from None
    was, now = np.asarray(output), np.asarray(answer)
    if was.shape == now.shape:
        numbers = was.dtype.kind in "iufb" and now.dtype.kind in "iufb"
        if np.allclose(was, now, _TOLERANCE, _TOLERANCE, equal_nan=True) if numbers else bool((was == now).all()):
            return
    raise EstimatorError(
        f"{name} cannot be deployed: saved as {form.file} and loaded again, it answers the sample with "
        f"{_short(now)} instead of {_short(was)}.\nWrite a scoring script for it: a %%score cell, and --score SCRIPT."
    )


def _short(value: Any) -> str:
    return one_line(str(value.tolist()))[:80]


def _imports(form: ServingFormat, frame: bool) -> str:
    lines = [*form.imports, "import numpy as np", *(["import pandas as pd"] if frame else [])]
    lines.append("from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType")
    return "\n".join(lines)


def _result(call: Callable[[Any], Any], row: Any, output: Any, method: str) -> tuple[bool, str]:
    """Return whether the result has an entry for each row, and the expression that makes JSON of it."""
    answered = "rows.apply(answer, data)"
    if hasattr(output, "tolist") or hasattr(output, "to_numpy"):
        by_row = hasattr(output, "shape") and output.shape[:1] == (len(row),)
        if by_row:
            return True, f"{answered}.to_numpy().tolist()" if hasattr(output, "to_numpy") else f"{answered}.tolist()"
    elif isinstance(output, list) and output and all(hasattr(part, "tolist") and part.shape for part in output):
        return False, f"[part.tolist() for part in {answered}]"
    elif isinstance(output, (list, tuple)) and len(output) == len(row) and _has_two(call, row):
        return True, f"np.asarray({answered}).tolist()"
    raise EstimatorError(
        f"{method}() returns a {type(output).__name__}: the generated scoring script can return arrays only. "
        "Write your own scoring script."
    )


def _has_two(call: Callable[[Any], Any], row: Any) -> bool:
    """Return whether a list has an entry for each row: there are two for two rows."""
    import numpy as np

    two = row.iloc[[0, 0]].reset_index(drop=True) if hasattr(row, "iloc") else np.concatenate([row, row])
    return len(output_for(call, two, "the model")) == len(two)


def _frame_rows(estimator: Any, call: Callable[[Any], Any], row: Any, extra_columns: str) -> str:
    unused = unused_columns(estimator, call, row)
    used = row[[column for column in row.columns if column not in unused]]
    nulls = columns_with_missing(call, used)
    options = [
        *([f"nulls={_option(nulls)}"] if nulls else []),
        *([f"unused={_option(unused)}"] if unused else []),
        *([f"extra={extra_columns!r}"] if extra_columns != EXTRA_COLUMNS[0] else []),
    ]
    return f"FrameRows({', '.join([frame_literal(row), *options])})"


def _array_rows(call: Callable[[Any], Any], row: Any) -> str:
    nulls = columns_with_missing(call, row)
    return f"ArrayRows({', '.join([_array(row), *([f'nulls={_option(nulls)}'] if nulls else [])])})"


def _option(value: bool | tuple[Any, ...]) -> str:
    return repr(value) if isinstance(value, bool) else f"[{', '.join(map(_literal, value))}]"


def _literal(value: Any) -> str:
    return _text(value) if isinstance(value, str) else repr(int(value))


def _array(row: Any) -> str:
    kind = "" if row.dtype.kind == "U" or row.dtype == float else f", dtype={row.dtype.name!r}"
    if row.dtype.kind != "U" and (not row.any() or row.size > _MOST_SHOWN):
        return f"np.zeros({row.shape}{kind})"
    return f"np.array({_list(row.tolist())}{kind})"


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
        ordered = ", ordered=True" if kind.ordered else ""
        known = [_cell(category, name) for category in kind.categories]
        return f"pd.Categorical({[_cell(value, name)]!r}, categories={known!r}{ordered})"
    if getattr(kind, "kind", "") == "M":
        return f"pd.to_datetime([{_text(value.isoformat())}]){_zone_and_unit(value, kind)}"
    return repr([_cell(value, name)])


def _zone_and_unit(value: Any, kind: Any) -> str:
    """Return the calls that give a date its time zone, with its changes in summer, and the unit of the column."""
    import numpy as np
    import pandas as pd

    read = pd.to_datetime([value.isoformat()])
    calls = ""
    zone = getattr(value.tzinfo, "key", None) or getattr(value.tzinfo, "zone", None)
    if zone is not None and str(read.tz) != zone:
        calls += f".tz_convert({_text(zone)})"
    unit = getattr(kind, "unit", None) or (np.datetime_data(kind)[0] if isinstance(kind, np.dtype) else None)
    if unit is not None and unit != read.unit:
        calls += f".as_unit({_text(unit)})"
    return calls


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
    if isinstance(output, (list, tuple)):
        return [part.tolist() if hasattr(part, "tolist") else part for part in output]
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
