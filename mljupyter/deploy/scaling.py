"""Scaling rules of an endpoint's versions: a fixed number of replicas, or autoscaling. Pure functions."""

from __future__ import annotations

from typing import Any

from mljupyter.deploy.spec_builder import merged
from mljupyter.deploy.versions import known_version
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import AutoscalePolicy, EndpointSpec, Scaling

# The parameters of `Webservice.scale` whose name differs in the documents.
_NAMES = {"minimum": "min_replicas", "maximum": "max_replicas"}


def with_scaling(spec: EndpointSpec, *, version: str | None = None, **given: int | None) -> EndpointSpec:
    """Return an endpoint whose version has another scaling.

    Parameters:
        spec: the endpoint.
        version: the version; None for the default version.
        given: the parameters of `Webservice.scale`; None keeps the present value.

    Raises:
        WebserviceException: nothing is given, `replicas` is given together with others, or there is no such version.
        SpecError: a value breaks a rule of the documents.

    """
    name = spec.default_version if version is None else version
    values: dict[str, Any] = {_NAMES.get(key, key): value for key, value in given.items() if value is not None}
    if not values:
        raise WebserviceException("Nothing is given: give replicas, minimum and maximum, or another setting.")
    present = known_version(spec, name).scaling.autoscale
    if "replicas" in values:
        others = [key for key, value in given.items() if value is not None and key != "replicas"]
        if others:
            raise WebserviceException(
                f"replicas is a fixed number, {', '.join(others)} let it follow the load: give one or the other."
            )
        scaling = Scaling.parse(values)
    else:
        scaling = Scaling(autoscale=merged(present or AutoscalePolicy(), **values))
    return merged(spec, versions={**spec.versions, name: merged(spec.versions[name], scaling=scaling)})
