"""The schema of `run()`, read from the decorators of the package `inference-schema`.

The package is a dependency of the script; nothing here imports it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

_ROW_ORIENTS = ("records", "values", "split")
_CONVERSION = {"param_name", "param_type", "convert_to_provided_type"}


class Schema(NamedTuple):
    """The schemas of a decorated `run()` for its OpenAPI document, and the types that convert its parameters."""

    versions: tuple[str, ...]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    types: dict[str, Any]

    def has_rows(self, parameter: str) -> bool:
        """Return whether the first dimension of a parameter is its rows: all other dimensions are enforced."""
        kind: Any = self.types.get(parameter)
        if not getattr(kind, "enforce_shape", False):
            return False
        names = {base.__name__ for base in type(kind).__mro__}
        if "NumpyParameterType" in names:
            return len(kind.sample_input.shape) > 0
        return "PandasParameterType" in names and kind.orient in _ROW_ORIENTS


def schema_of(run: Callable[..., Any]) -> Schema | None:
    """Return the schema of a function; None when it is not decorated."""
    utilities = sys.modules.get("inference_schema.schema_util")
    if utilities is None or not utilities.is_schema_decorated(run):
        return None
    types = _parameter_types(run)
    if types:
        from mljupyter.scoring.worker.fast_schema import make_faster  # few scripts have a schema

        make_faster(types.values())
    return Schema(
        versions=tuple(utilities.get_supported_versions(run)),
        input_schema=utilities.get_input_schema(run),
        output_schema=utilities.get_output_schema(run),
        types=types,
    )


def _parameter_types(run: Callable[..., Any]) -> dict[str, Any]:
    """Return the parameters that the decorators convert. Only the closures of the decorators hold the types."""
    types: dict[str, Any] = {}
    layer: Any = run
    while layer is not None:
        wrapper = getattr(layer, "_self_wrapper", None)
        names = getattr(getattr(wrapper, "__code__", None), "co_freevars", ())
        closure = dict(zip(names, getattr(wrapper, "__closure__", None) or ()))  # noqa: B905 (Python 3.9 has no strict)
        if closure.keys() >= _CONVERSION and closure["convert_to_provided_type"].cell_contents:
            types[closure["param_name"].cell_contents] = closure["param_type"].cell_contents
        layer = getattr(layer, "__wrapped__", None)
    return types
