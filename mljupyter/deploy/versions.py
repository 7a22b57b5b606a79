"""Changes to the versions of an endpoint: pure functions from spec to spec.

Azure: the methods of ``AksEndpoint``.

The first version is the default and the control version. There is always exactly one of each, so a role can be moved to
another version but not removed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.deploy.configuration_rules import percentile_rule, raise_all
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.spec_builder import (
    Settings,
    changed_version,
    described,
    in_namespace,
    merged,
    new_version,
)
from mljupyter.engine.rollout.unknown_version import unknown_version
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import AutoscalePolicy, EndpointSpec, Scaling, VersionSpec
from mljupyter.spec.endpoint import MOST_VERSIONS
from mljupyter.spec.names import VERSION

# The parameters of `Webservice.scale` that have another name in the documents.
_NAMES = {"minimum": "min_replicas", "maximum": "max_replicas"}


def with_new_version(
    spec: EndpointSpec,
    configuration: Settings,
    served: VersionContent | None,
    *,
    name: str,
    is_default: bool | None = None,
    is_control: bool | None = None,
) -> EndpointSpec:
    """Return an endpoint with one more version.

    Parameters:
        spec: the endpoint.
        configuration: size, scaling and share of the version.
        served: its content.
        name: the version's name.
        is_default, is_control: True moves the role to it from the version that has it now.

    Raises:
        WebserviceException: there is no content, the name is taken, or the endpoint has the maximum number of versions.
        SpecError: a value breaks a rule of the documents.

    """
    VERSION.check(name)
    if served is None:
        raise WebserviceException("inference_config is missing: a new version needs a scoring script.")
    if name in spec.versions:
        raise WebserviceException(
            f"{spec.name!r} has a version {name!r} already: change it with update_version({name!r}, ...), or choose "
            "another name."
        )
    if len(spec.versions) >= MOST_VERSIONS:
        raise WebserviceException(
            f"{spec.name!r} has {len(spec.versions)} versions, the most there may be: {_listed(spec)}.\n"
            f"Delete one first: endpoint.delete_version({_other_than_default(spec)!r})"
        )
    insights = spec.versions[spec.default_version].app_insights_enabled
    version = merged(described(new_version(configuration, served), configuration), app_insights_enabled=insights)
    version = in_namespace(version, spec.namespace)
    return _with(spec, name, version, is_default=is_default, is_control=is_control)


def with_changed_version(
    spec: EndpointSpec,
    configuration: Settings,
    served: VersionContent | None,
    *,
    name: str,
    is_default: bool | None = None,
    is_control: bool | None = None,
) -> EndpointSpec:
    """Return an endpoint with one of its versions changed; parameters as for `with_new_version`.

    Raises:
        WebserviceException: there is no such version, or a role would have no version.
        SpecError: a value breaks a rule of the documents.

    """
    version = described(changed_version(known_version(spec, name), configuration, served), configuration)
    if is_default is False and spec.default_version == name:
        raise WebserviceException(
            f"is_default is False, but {name!r} is the default version and there is always one: make another one the "
            "default, update_version(OTHER, is_default=True)."
        )
    if is_control is False and spec.control == name:
        raise WebserviceException(
            f"is_control_version_type is False, but {name!r} is the control version and there is always one: make "
            "another one the control version, update_version(OTHER, is_control_version_type=True)."
        )
    return _with(spec, name, version, is_default=is_default, is_control=is_control)


def without_version(spec: EndpointSpec, name: str) -> EndpointSpec:
    """Return an endpoint without one of its versions. If it was the control version, the default version gets that
    role.

    Raises:
        WebserviceException: there is no such version, or it is the default version, or the only one.

    """
    known_version(spec, name)
    others = [other for other in spec.versions if other != name]
    if not others:
        raise WebserviceException(
            f"{name!r} is the only version of {spec.name!r}: delete the whole endpoint, endpoint.delete()"
        )
    if name == spec.default_version:
        raise WebserviceException(
            f"{name!r} is the default version of {spec.name!r}, which {', '.join(others)} would be left without.\n"
            f"Make another one the default first, endpoint.update_version({others[0]!r}, is_default=True), "
            "or delete the whole endpoint, endpoint.delete()"
        )
    return merged(
        spec,
        versions={other: spec.versions[other] for other in others},
        control_version=spec.default_version if name == spec.control else None,
    )


def with_traffic(
    spec: EndpointSpec,
    percentiles: Mapping[str, int] | None = None,
    mirror: Mapping[str, int] | None = None,
    sticky_header: str | None = None,
) -> EndpointSpec:
    """Return an endpoint with another split of its requests.

    Parameters:
        spec: the endpoint.
        percentiles: shares by version; a version that is not named gets 0. None keeps the present shares.
        mirror: shares of the requests that are copied to versions, by the same rule.
        sticky_header: requests with the same value of this header go to the same version; the empty string for none.

    Raises:
        WebserviceException: there is no such version, or a share is not a whole number from 0 to 100.
        SpecError: the sum of the shares is above 100, or a version has both kinds of shares.

    """
    for name in (*(percentiles or ()), *(mirror or ())):
        known_version(spec, name)
    shares = [("percentile", percentiles or {}), ("mirror percentile", mirror or {})]
    raise_all(
        message
        for kind, given in shares
        for name, share in given.items()
        for message in percentile_rule(f"the {kind} of {name}", share)
    )
    versions = {
        name: merged(
            version,
            traffic_percentile=None if percentiles is None else percentiles.get(name, 0),
            mirror_percentile=None if mirror is None else mirror.get(name, 0),
        )
        for name, version in spec.versions.items()
    }
    changed = merged(spec, versions=versions, sticky_header=sticky_header or None)
    return changed.model_copy(update={"sticky_header": None}) if sticky_header == "" else changed


def with_scaling(spec: EndpointSpec, *, version: str | None = None, **given: int | None) -> EndpointSpec:
    """Return an endpoint whose version has another scaling.

    Parameters:
        spec: the endpoint.
        version: the version; None for the default version.
        given: the parameters of `Webservice.scale`; None for those that stay.

    Raises:
        WebserviceException: nothing is given, `replicas` is given together with others, or there is no such version.
        SpecError: a value breaks a rule of the documents.

    """
    name = spec.default_version if version is None else version
    values: dict[str, Any] = {_NAMES.get(key, key): value for key, value in given.items() if value is not None}
    if not values:
        raise WebserviceException("No setting is given: give replicas, or minimum and maximum, or another setting.")
    present = known_version(spec, name).scaling.autoscale
    if "replicas" in values:
        others = [key for key, value in given.items() if value is not None and key != "replicas"]
        if others:
            raise WebserviceException(
                f"replicas (a fixed number) and {', '.join(others)} (autoscaling) cannot be combined: "
                "give one or the other."
            )
        scaling = Scaling.parse(values)
    else:
        scaling = Scaling(autoscale=merged(present or AutoscalePolicy(), **values))
    return merged(spec, versions={**spec.versions, name: merged(spec.versions[name], scaling=scaling)})


def known_version(spec: EndpointSpec, name: str) -> VersionSpec:
    """Return a version, or raise `WebserviceException` with the names of the existing ones."""
    if name not in spec.versions:
        raise WebserviceException(unknown_version(spec, name))
    return spec.versions[name]


def _with(
    spec: EndpointSpec, name: str, version: VersionSpec, *, is_default: bool | None, is_control: bool | None
) -> EndpointSpec:
    return merged(
        spec,
        versions={**spec.versions, name: version},
        default_version=name if is_default else None,
        # Set when the default moves: a control version that was only implied by the default must not move with it.
        control_version=name if is_control else spec.control if is_default else None,
    )


def _other_than_default(spec: EndpointSpec) -> str:
    return next(name for name in sorted(spec.versions) if name != spec.default_version)


def _listed(spec: EndpointSpec) -> str:
    return ", ".join(sorted(spec.versions))
