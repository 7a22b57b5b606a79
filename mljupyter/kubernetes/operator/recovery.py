"""The recovery of an endpoint whose state Secret is damaged or gone, from what else the cluster has of it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mljupyter.controller.storage.keys import Keys
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.published import ROUTE_KEY, PublishedError, PublishedRoute
from mljupyter.kubernetes.objects.replicas import variables_of
from mljupyter.kubernetes.operator import documents
from mljupyter.spec import Authentication, EndpointSpec, SpecError
from mljupyter.spec.difference import HIDDEN


@dataclass(frozen=True)
class Recovered:
    """An endpoint as it was, but for its history.

    Parameters:
        spec: the desired state.
        keys: the keys that the routers admit, or new ones; None for an endpoint without keys.
        keys_lost: whether the keys are new ones, since no Secret has the former ones any more.

    """

    spec: EndpointSpec
    keys: Keys | None
    keys_lost: bool = False


def recovered(
    resource: Mapping[str, Any],
    target: str,
    route: Mapping[str, Any] | None,
    revisions: Iterable[Mapping[str, Any]],
) -> Recovered | None:
    """Return an endpoint as its objects show it; None when they do not suffice.

    Parameters:
        resource: its custom resource, in which the values of environment variables are hidden.
        target: the compute target that the operator serves.
        route: the Secret with its published route, which has its keys.
        revisions: the Secrets of the revisions of its versions, which have the values of environment variables.

    """
    try:
        spec = documents.spec_of(resource, target, None)
        known = _variables(revisions)
    except (SpecError, ValueError):
        return None
    versions = {
        name: version.model_copy(
            update={
                "environment_variables": {
                    variable: known.get(name, {}).get(variable, value) if value == HIDDEN else value
                    for variable, value in version.environment_variables.items()
                }
            }
        )
        for name, version in spec.versions.items()
    }
    if any(HIDDEN in version.environment_variables.values() for version in versions.values()):
        return None
    spec = spec.model_copy(update={"versions": versions})
    if spec.authentication is not Authentication.KEY:
        return Recovered(spec, None)
    keys = _keys(route)
    return Recovered(spec, keys or Keys.make(), keys_lost=keys is None)


def _variables(revisions: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the environment variables of each version: those of its newest revision before those of older ones."""
    found: dict[str, dict[str, str]] = {}
    for secret in sorted(revisions, key=lambda one: str(one["metadata"].get("creationTimestamp"))):
        version = (secret["metadata"].get("labels") or {}).get(names.VERSION_LABEL, "")
        found.setdefault(version, {}).update(variables_of(secret))
    return found


def _keys(route: Mapping[str, Any] | None) -> Keys | None:
    """Return the keys in a published route; None when it has none that can be read."""
    try:
        primary, secondary = PublishedRoute.parse(base64.b64decode((route or {})["data"][ROUTE_KEY])).route.keys or ()
    except (LookupError, ValueError, TypeError, PublishedError):
        return None
    return Keys(primary, secondary)
