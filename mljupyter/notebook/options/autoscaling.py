"""Autoscaling arguments from the options of `%deploy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.notebook.options.option_values import WrongInputError


def autoscaling(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``deploy_configuration`` for ``--autoscale`` and ``--target-utilization``.

    Raises:
        WrongInputError: options exclude each other, or the bounds break a rule.

    """
    bounds, utilization, kind = values["autoscale"], values["target_utilization"], values["kind"]
    if bounds is None:
        if utilization is not None:
            raise WrongInputError("--target-utilization is for replicas that follow the load: add --autoscale MIN:MAX.")
        return {}
    if kind != "aks":
        raise WrongInputError(f"--autoscale is not available with --kind {kind}: only with aks.")
    if values["replicas"] is not None:
        raise WrongInputError("--replicas is a fixed number, --autoscale MIN:MAX bounds for one: give one of them.")
    problem = broken_rule(bounds[0], bounds[1], utilization)
    if problem:
        raise WrongInputError(f"--autoscale {bounds[0]}:{bounds[1]}: {problem}")
    found = {"autoscale_enabled": True, "autoscale_min_replicas": bounds[0], "autoscale_max_replicas": bounds[1]}
    return found if utilization is None else {**found, "autoscale_target_utilization": utilization}


def broken_rule(least: int, most: int, utilization: int | None = None) -> str:
    """Return the rule that bounds break; empty if they break none.

    Example:
        >>> broken_rule(3, 2)
        'minReplicas is 3, maxReplicas 2: min must not exceed max'

    """
    from mljupyter.spec import AutoscalePolicy, SpecError  # pydantic must not be imported while magics load

    target = {} if utilization is None else {"targetUtilization": utilization}
    try:
        AutoscalePolicy.parse({"minReplicas": least, "maxReplicas": most, **target})
    except SpecError as error:
        return error.message
    return ""
