"""Results of statsmodels: saved by their own ``save()`` without the data that they were fitted with."""

from __future__ import annotations

import copy
import inspect
import re
from pathlib import Path
from typing import Any

from mljupyter.deploy.estimator.frameworks.serving_format import ServingFormat
from mljupyter.deploy.estimator.problems import EstimatorError


def statsmodels_format(value: Any, method: str, _: Any, name: str) -> ServingFormat | None:
    """Return the format of a result of statsmodels.

    Raises:
        EstimatorError: it is a model that is not fitted, or it predicts times and not rows.

    """
    import statsmodels

    if not hasattr(value, "model") or not hasattr(value, "params"):
        raise EstimatorError(f"{name} is a {type(value).__name__} that is not fitted: deploy its result, {name}.fit().")
    kind = type(value).__name__
    if method != "predict":
        raise EstimatorError(f"{name} is a {kind}, which has no {method}(). It has: predict.")
    if "exog" not in inspect.signature(value.predict).parameters:
        raise EstimatorError(
            f"{name} is a {kind}, which predicts for times and not for rows.\nWrite a scoring script that calls its "
            "forecast(): a %%score cell, and %deploy NAME --model MODEL --score SCRIPT."
        )
    data = value.model.data
    frame, exog = getattr(data, "frame", None), getattr(data, "orig_exog", None)
    formula = getattr(value.model, "formula", None)
    columns, rows = None, None
    if formula is not None and frame is not None:
        right = str(formula).partition("~")[2]
        columns = tuple(str(each) for each in frame.columns if _names(right, str(each)))
        rows = frame[list(columns)].iloc[:1]
    elif exog is not None and hasattr(exog, "columns"):
        columns = tuple(str(each) for each in exog.columns)
    return ServingFormat(
        framework="Custom",
        library="statsmodels",
        version=statsmodels.__version__,
        file="model.pickle",
        save=lambda path: _save(value, path),
        imports=("from statsmodels.iolib.smpickle import load_pickle",),
        load="load_pickle(path)",
        answer="model.predict(data)",
        columns=columns,
        width=None if exog is None else int(exog.shape[1]),
        rows=rows,
        framed=columns is not None,
    )


def _names(formula: str, column: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(column)}(?!\w)", formula) is not None


def _save(value: Any, path: Path) -> None:
    """Save a copy without its data, since `remove_data` changes the result itself; with it where that is impossible."""
    try:
        copy.deepcopy(value).save(str(path), remove_data=True)
    except Exception:  # noqa: BLE001 - some results cannot be copied or emptied
        value.save(str(path))
