"""Redeployment of an endpoint: settings that the new deployment does not name stay. Pure functions.

`Model.deploy` with ``overwrite=True`` follows Azure ML v1 and replaces all settings; ``%deploy``, the wizard and
``mljupyter deploy`` use this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mljupyter.deploy.access import asked_authentication, asked_tls
from mljupyter.deploy.configuration_rules import PLACEMENT
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.spec_builder import SOURCE_PROPERTY, Settings, changed_version, new_endpoint
from mljupyter.spec import EndpointKind, EndpointSpec, Placement, VersionSpec
from mljupyter.spec.difference import differences

# The fields of a version for each argument of a deployment configuration, as paths.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "num_replicas": ("scaling",),
    "autoscale_enabled": ("scaling",),
    "autoscale_target_utilization": ("scaling",),
    "cpu_cores": ("resources.cpu", "resources.cpu_limit"),
    "memory_gb": ("resources.memory_in_gb", "resources.memory_in_gb_limit"),
    "gpu_cores": ("resources.gpu",),
    "gpu_resource": ("resources.gpu_resource",),
    "replica_max_concurrent_requests": ("limits.max_concurrent_requests",),
    "max_request_wait_time": ("limits.max_queue_wait_ms",),
    "batching": ("batching",),
    "preload": ("preload",),
    "environment_variables": ("environment_variables",),
    **{name: (f"placement.{name}",) for name in PLACEMENT},
}
AUTHENTICATION = "auth_enabled"
_OF_KIND = ("num_replicas", "replica_max_concurrent_requests", "max_request_wait_time")
"""The arguments whose defaults differ between kinds of web services; a change of kind takes the new defaults."""

# Each argument of `deploy_configuration` and the value of a version that it sets.
_ARGUMENTS: Mapping[str, str] = {
    "cpu_cores": "resources.cpu",
    "memory_gb": "resources.memory_in_gb",
    "cpu_cores_limit": "resources.cpu_limit",
    "memory_gb_limit": "resources.memory_in_gb_limit",
    "gpu_cores": "resources.gpu",
    "gpu_resource": "resources.gpu_resource",
    "num_replicas": "scaling.replicas",
    "autoscale_min_replicas": "scaling.autoscale.min_replicas",
    "autoscale_max_replicas": "scaling.autoscale.max_replicas",
    "autoscale_target_utilization": "scaling.autoscale.target_utilization",
    "autoscale_refresh_seconds": "scaling.autoscale.refresh_seconds",
    "replica_max_concurrent_requests": "limits.max_concurrent_requests",
    "max_request_wait_time": "limits.max_queue_wait_ms",
    "scoring_timeout_ms": "limits.scoring_timeout_ms",
    "period_seconds": "probe.period_seconds",
    "initial_delay_seconds": "probe.initial_delay_seconds",
    "timeout_seconds": "probe.timeout_seconds",
    "success_threshold": "probe.success_threshold",
    "failure_threshold": "probe.failure_threshold",
    "batching": "batching",
    "preload": "preload",
    "collect_model_data": "collect_model_data",
    "enable_app_insights": "app_insights_enabled",
    **{name: f"placement.{name}" for name in PLACEMENT},
}
_AUTOSCALING = tuple(name for name in _ARGUMENTS if name.startswith("autoscale_"))


def redeployed_endpoint(
    present: EndpointSpec,
    configuration: Settings,
    served: VersionContent,
    *,
    target: str,
    reset: Iterable[str] = (),
    remove_tls: bool = False,
) -> EndpointSpec:
    """Return an existing endpoint with other content in its default version.

    A setting that the configuration does not give stays. After a change of kind, the number of replicas and the limits
    of requests are the defaults of the new kind, since those of the old one may not exist there. A local web service
    has neither authentication nor TLS.

    Parameters:
        present: the endpoint as it is.
        configuration: kind, and the settings that change.
        served: the content.
        target: the compute target.
        reset: arguments of ``deploy_configuration`` that return to their defaults; given settings come after that.
        remove_tls: whether the endpoint's own certificate is removed.

    Raises:
        WebserviceException, SpecError: a value breaks a rule.

    """
    fresh = new_endpoint(present.name, configuration, served, target=target, created_by=present.created_by)
    given, names = configuration.given(), set(reset)
    kind_changes = fresh.kind is not present.kind
    if kind_changes:
        names |= set(_OF_KIND)
    version = with_defaults(present.versions[present.default_version], fresh.versions[fresh.default_version], names)
    local = fresh.kind is EndpointKind.LOCAL
    kept = {SOURCE_PROPERTY: served.source} if served.source is not None else {}
    values = {name: getattr(present, name) for name in EndpointSpec.model_fields} | {
        "kind": fresh.kind,
        "compute_target": target,
        "authentication": fresh.authentication
        if local or AUTHENTICATION in names
        else asked_authentication(given, present.authentication),
        "tls": None if remove_tls else asked_tls(given, present.tls),
        "port": fresh.port
        or (None if local or kind_changes else present.port),  # a local one's is kept by the controller
        "versions": {**present.versions, present.default_version: changed_version(version, configuration, served)},
        "description": present.description if configuration.description is None else fresh.description,
        "tags": present.tags if configuration.tags is None else fresh.tags,
        "properties": {name: value for name, value in present.properties.items() if name != SOURCE_PROPERTY}
        | fresh.properties
        | kept,
    }
    return EndpointSpec.parse(values)


def with_defaults(version: VersionSpec, default: VersionSpec, arguments: Iterable[str]) -> VersionSpec:
    """Return a version in which the fields of some arguments have the values of another version.

    Parameters:
        version: the version.
        default: the version with the default values.
        arguments: names of arguments of ``deploy_configuration``; those without a field in a version are ignored.

    """
    for path in dict.fromkeys(path for name in arguments for path in _FIELDS.get(name, ())):
        part, _, field = path.partition(".")
        if not field:
            version = version.model_copy(update={part: getattr(default, part)})
            continue
        empty = Placement()
        inner = (getattr(version, part) or empty).model_copy(
            update={field: getattr(getattr(default, part) or empty, field)}
        )
        version = version.model_copy(update={part: None if inner == empty else inner})
    return version


def away_from_defaults(version: VersionSpec, default: VersionSpec) -> dict[str, list[tuple[str, Any, Any]]]:
    """Return what a return to the defaults would change in a version.

    Parameters:
        version: the version.
        default: the version with the default values.

    Returns:
        For each argument of ``deploy_configuration`` whose fields differ: path, value and default of these fields.
        Arguments with the same fields are one, the first of them.

    """
    found: dict[tuple[str, ...], tuple[str, list[tuple[str, Any, Any]]]] = {}
    for name, paths in _FIELDS.items():
        fields = differences(version.document(), with_defaults(version, default, [name]).document())
        if fields and paths not in found:
            found[paths] = name, fields
    return dict(found.values())


def arguments_of(version: VersionSpec, default: VersionSpec) -> dict[str, Any]:
    """Return the arguments of ``deploy_configuration`` that make a version's settings.

    Parameters:
        version: the version.
        default: a version with the defaults of its kind, which are left out.

    """
    found = {name: _value(version, path) for name, path in _ARGUMENTS.items()}
    usual = {name: _value(default, path) for name, path in _ARGUMENTS.items()}
    given = {name: value for name, value in found.items() if value is not None and value != usual[name]}
    if any(name in given for name in _AUTOSCALING):
        given = {"autoscale_enabled": True, **given}
    return given


def _value(version: VersionSpec, path: str) -> Any:
    found: Any = version
    for name in path.split("."):
        found = getattr(found, name, None)
    if isinstance(found, list):  # tolerations
        return [one if isinstance(one, str) else one.document() for one in found]
    return found
