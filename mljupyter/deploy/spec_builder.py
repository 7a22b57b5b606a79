"""The spec builder creates endpoint specs from deployment configurations, for new and existing endpoints.

Pure functions. A field that a configuration does not set keeps its value, or gets the default of Azure ML v1 for its
kind of service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from mljupyter.deploy.access import asked_authentication, asked_tls, changed_authentication
from mljupyter.deploy.configuration_rules import asked_placement
from mljupyter.deploy.content import VersionContent
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import (
    Authentication,
    AutoscalePolicy,
    Document,
    EndpointKind,
    EndpointSpec,
    LivenessProbe,
    RequestLimits,
    Resources,
    Scaling,
    VersionSpec,
)
from mljupyter.spec.names import SERVICE

SOURCE_PROPERTY = "mljupyter.source"
AZURE_PROPERTY = "azure."
"""The beginning of the properties that keep arguments of Azure, which have no effect here."""

_OF_AZURE = (
    "location",
    "dns_name_label",
    "cmk_vault_base_url",
    "cmk_key_name",
    "cmk_key_version",
    "vnet_name",
    "subnet_name",
)

# A single container has no limit for waiting requests; the AKS front end answers 503 after half a second.
_CONTAINER_QUEUE_WAIT_MS = 60_000

_LIKE_AKS = (EndpointKind.AKS, EndpointKind.AKS_ENDPOINT)
AnyDocument = TypeVar("AnyDocument", bound=Document)


class Settings(Protocol):
    """The settings of a deployment, as the deployment configurations of the SDK hold them."""

    @property
    def kind(self) -> EndpointKind:
        """The kind of web service, with the defaults of Azure ML v1 for that kind."""
        ...

    @property
    def description(self) -> str | None:
        """Free text."""
        ...

    @property
    def tags(self) -> Mapping[str, str] | None:
        """Tags."""
        ...

    @property
    def properties(self) -> Mapping[str, str] | None:
        """Properties."""
        ...

    def given(self) -> Mapping[str, Any]:
        """Return the arguments that were given, by name."""
        ...


def new_endpoint(
    name: str,
    configuration: Settings,
    served: VersionContent,
    *,
    target: str = "local",
    created_by: str | None = None,
) -> EndpointSpec:
    """Return the endpoint of a deployment configuration: a web service with one version.

    The version has the name in the configuration, otherwise that of the endpoint.

    Raises:
        WebserviceException: a setting is not available on this target.
        SpecError: the name or a value breaks a rule of the documents.

    """
    SERVICE.check(name)
    kind = configuration.kind
    aks = kind in _LIKE_AKS
    version_name = configuration.given().get("version_name", name)
    properties = dict(configuration.properties or {})
    given = configuration.given()
    properties |= {f"{AZURE_PROPERTY}{one}": str(given[one]) for one in _OF_AZURE if given.get(one)}
    if served.source is not None:
        properties[SOURCE_PROPERTY] = served.source
    return EndpointSpec.parse(
        {
            "name": name,
            "kind": kind,
            "compute_target": target,
            "authentication": asked_authentication(
                configuration.given(), Authentication.KEY if aks else Authentication.NONE
            ),
            "tls": asked_tls(configuration.given(), None),
            "port": getattr(configuration, "port", None),
            "default_version": version_name,
            "versions": {version_name: new_version(configuration, served)},
            "description": configuration.description,
            "tags": configuration.tags or {},
            "properties": properties,
            "created_by": created_by,
        }
    )


def new_version(configuration: Settings, served: VersionContent) -> VersionSpec:
    """Return the version of a deployment configuration."""
    aks = configuration.kind in _LIKE_AKS
    version = VersionSpec(
        code=served.code,
        image=served.image,
        image_id=served.image_id,
        no_code=served.no_code,
        model_delivery=served.model_delivery,
        model_bytes=served.model_bytes,
        models=list(served.models),
        resources=served.resources or Resources(),
        scaling=Scaling(autoscale=AutoscalePolicy()) if aks else Scaling(replicas=1),
        limits=RequestLimits() if aks else RequestLimits(max_queue_wait_ms=_CONTAINER_QUEUE_WAIT_MS),
    )
    return changed_version(version, configuration, served)


def changed_version(version: VersionSpec, configuration: Settings, served: VersionContent | None = None) -> VersionSpec:
    """Return a version with size, placement, scaling, limits, probe and share changed by a configuration.

    `served` replaces its content.
    """
    given = configuration.given()
    if served is not None:
        version = _serving(version, served)
    changed = merged(
        version,
        resources=_resources(version.resources, given, limits=configuration.kind is EndpointKind.ACI),
        scaling=_scaling(version.scaling, given),
        limits=_limits(version.limits, given),
        probe=_probe(version.probe, given),
        traffic_percentile=given.get("traffic_percentile"),
        batching=given.get("batching"),
        preload=given.get("preload"),
        collect_model_data=given.get("collect_model_data"),
        app_insights_enabled=given.get("enable_app_insights"),
    )
    return changed.model_copy(update={"placement": asked_placement(version.placement, given)})


def changed_endpoint(spec: EndpointSpec, configuration: Settings, served: VersionContent | None = None) -> EndpointSpec:
    """Return an endpoint changed by a configuration; fields that the configuration does not set stay.

    Tags are replaced, properties are added (Azure ML v1: `AksWebservice.update`).

    Raises:
        WebserviceException: a setting is not available on this target, or a property already exists.
        SpecError: a value breaks a rule of the documents.

    """
    version = spec.versions[spec.default_version]
    # Settings of the endpoint, not of a version.
    insights, place = (configuration.given().get(name) for name in ("enable_app_insights", "namespace"))
    others = {
        name: in_namespace(merged(other, app_insights_enabled=insights), place) for name, other in spec.versions.items()
    }
    properties = added_properties(spec.properties, configuration.properties)
    if served is not None:
        properties.pop(SOURCE_PROPERTY, None)
        properties |= {} if served.source is None else {SOURCE_PROPERTY: served.source}
    port = getattr(configuration, "port", None)
    given = configuration.given()
    changed = merged(
        spec,
        authentication=changed_authentication(given, spec.authentication),
        port=port if port is not None else spec.port,
        versions={**others, spec.default_version: changed_version(version, configuration, served)},
        description=configuration.description,
        tags=configuration.tags,
        properties=properties,
    )
    return changed.model_copy(update={"tls": asked_tls(given, spec.tls)})


def in_namespace(version: VersionSpec, namespace: str | None) -> VersionSpec:
    """Return a version whose replicas run in a namespace of the cluster; for None, in the one that it has."""
    placement = asked_placement(version.placement, {"namespace": namespace})
    return version.model_copy(update={"placement": placement})


def added_properties(present: Mapping[str, str], added: Mapping[str, str] | None) -> dict[str, str]:
    """Return properties with others added. An existing property is an error, because properties do not change."""
    again = sorted(set(added or {}) & set(present))
    if again:
        raise WebserviceException(f"Properties can only be added; {', '.join(again)} exist already.")
    return {**present, **(added or {})}


def merged(document: AnyDocument, **given: Any) -> AnyDocument:
    """Return a document with the given values (other than None), validated."""
    values = {name: getattr(document, name) for name in type(document).model_fields}
    return type(document).parse(values | {name: value for name, value in given.items() if value is not None})


def _serving(version: VersionSpec, served: VersionContent) -> VersionSpec:
    values = {name: getattr(version, name) for name in VersionSpec.model_fields}
    return VersionSpec.parse(
        values
        | {
            "code": served.code,
            "no_code": served.no_code,
            "image": served.image,
            "image_id": served.image_id,
            "models": list(served.models),
            "model_delivery": served.model_delivery,
            "model_bytes": served.model_bytes,
            "interpreter": served.interpreter,
            "environment_variables": dict(served.environment_variables),
            "description": version.description if served.description is None else served.description,
        }
    )


def _resources(present: Resources, given: Mapping[str, Any], *, limits: bool) -> Resources:
    """Return resources changed by the given values; with `limits`, the requests are also the limits.

    A container instance gets exactly its size, a pod of a cluster at least its size (Azure ML v1: AciWebservice).
    """
    if limits:
        given = {"cpu_cores_limit": given.get("cpu_cores"), "memory_gb_limit": given.get("memory_gb")} | dict(given)
    return merged(
        present,
        cpu=given.get("cpu_cores"),
        memory_in_gb=given.get("memory_gb"),
        cpu_limit=given.get("cpu_cores_limit"),
        memory_in_gb_limit=given.get("memory_gb_limit"),
        gpu=given.get("gpu_cores"),
        gpu_resource=given.get("gpu_resource"),
    )


def _scaling(present: Scaling, given: Mapping[str, Any]) -> Scaling:
    if given.get("num_replicas") is not None:
        return Scaling.parse({"replicas": given["num_replicas"]})
    if given.get("autoscale_enabled"):
        policy = merged(
            present.autoscale or AutoscalePolicy(),
            min_replicas=given.get("autoscale_min_replicas"),
            max_replicas=given.get("autoscale_max_replicas"),
            target_utilization=given.get("autoscale_target_utilization"),
            refresh_seconds=given.get("autoscale_refresh_seconds"),
        )
        return Scaling(autoscale=policy)
    return present


def _limits(present: RequestLimits, given: Mapping[str, Any]) -> RequestLimits:
    return merged(
        present,
        max_concurrent_requests=given.get("replica_max_concurrent_requests"),
        max_queue_wait_ms=given.get("max_request_wait_time"),
        scoring_timeout_ms=given.get("scoring_timeout_ms"),
    )


def _probe(present: LivenessProbe, given: Mapping[str, Any]) -> LivenessProbe:
    return merged(
        present,
        period_seconds=given.get("period_seconds"),
        initial_delay_seconds=given.get("initial_delay_seconds"),
        timeout_seconds=given.get("timeout_seconds"),
        success_threshold=given.get("success_threshold"),
        failure_threshold=given.get("failure_threshold"),
    )
