"""Request and answer bodies of all built-in scripts."""

from __future__ import annotations

import json
from typing import Any

from mljupyter.scoring.columns import kind_of, missing_text
from mljupyter.scoring.shims.aml_response import AMLResponse

_MOST_TEXT = 1000  # characters; errors of a framework may list all columns


class BodyError(ValueError):
    """The request body does not fit the model. Where `run()` does not answer it itself, the status is 400."""

    mljupyter_status = 400


def object_of(data: str) -> dict[str, Any]:
    """Return the JSON object of a body; raise BodyError for anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BodyError(f"the request body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise BodyError(f"the request body must be a JSON object, not {kind_of(value)}")
    return value


def refusal(error: Exception) -> AMLResponse:
    """Return the answer 400 for a body that does not fit the model."""
    text = str(error)
    text = text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
    return AMLResponse({"code": "BadRequest", "message": text}, 400, json_str=True)


def frame_of(rows: list[dict[str, Any]], model: Any) -> Any:
    """Return rows that are objects as a data frame with the columns of a model, in the order it was fitted with.

    Raises:
        BodyError: the model has no names of columns, or a row lacks one. The order of keys would be no help, since JSON
            objects have none.

    """
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        raise BodyError(
            "row 0 is an object by column, but the model was fitted without names of columns: send each row as a list, "
            "in the order of the columns that it was fitted with"
        )
    names = [str(name) for name in names]
    for number, row in enumerate(rows):
        if any(name not in row for name in names):
            raise BodyError(f"row {number} {missing_text(row, names, names)}")
    import pandas

    return pandas.DataFrame([[row[name] for name in names] for row in rows], columns=names)


def plain(value: Any) -> Any:
    """Convert a result to JSON types: arrays, data frames and their scalars become lists and numbers."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return plain(value.to_dict(orient="records"))
    if hasattr(value, "tolist"):
        return plain(value.tolist()) if getattr(getattr(value, "dtype", None), "hasobject", False) else value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value
