"""Deployment configurations of all kinds of web services, and their rules.

A configuration holds None for each argument that was not given: `mljupyter.deploy.spec_builder` applies the defaults.

Azure: azureml.core.webservice, `deploy_configuration` of each class.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from mljupyter.deploy.configuration_rules import (
    above_zero,
    all_or_none,
    delivery_rule,
    flags,
    own_keys,
    percentile_rule,
    placement_rules,
    port_rule,
    raise_all,
    texts,
    tls_files,
)
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import EndpointKind, SpecError
from mljupyter.spec.names import VERSION
from mljupyter.spec.version import ModelDelivery

_NEVER_SHOWN = ("primary_key", "secondary_key", "port")
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{,61}[a-z0-9])?")
_AUTOSCALE_DETAILS = (
    "autoscale_min_replicas",
    "autoscale_max_replicas",
    "autoscale_refresh_seconds",
    "autoscale_target_utilization",
)
_WHOLE_NUMBERS = (
    *(name for name in _AUTOSCALE_DETAILS if name != "autoscale_min_replicas"),
    "num_replicas",
    "scoring_timeout_ms",
    "replica_max_concurrent_requests",
    "max_request_wait_time",
    "period_seconds",
    "initial_delay_seconds",
    "timeout_seconds",
    "success_threshold",
    "failure_threshold",
)
_FLAGS = (
    "autoscale_enabled",
    "collect_model_data",
    "auth_enabled",
    "token_auth_enabled",
    "enable_app_insights",
    "blobfuse_enabled",
    "batching",
    "preload",
)


class WebserviceDeploymentConfiguration(ABC):
    """Base class of the deployment configurations.

    Parameters:
        type: the kind of web service: LOCAL, ACI, AKS or AKSENDPOINT.
        description, tags, properties: of the service; tags and properties map text to text.
        primary_key, secondary_key: keys of your own, in place of generated ones.
        location: without effect.

    Azure: `location` is a region of the cloud.

    """

    kind: ClassVar[EndpointKind]

    def __init__(
        self,
        type: str,  # noqa: A002 - the name of the original
        description: str | None = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        location: str | None = None,
    ) -> None:
        self.type = type
        self.description = description
        self.tags = tags
        self.properties = properties
        self.primary_key = primary_key
        self.secondary_key = secondary_key
        self.location = location

    @abstractmethod
    def validate_configuration(self) -> None:
        """Check every rule.

        Raises:
            WebserviceException: with one message for each rule that is broken.

        """

    def print_deploy_configuration(self) -> None:
        """Print the arguments that were given, without keys."""
        print(repr(self))

    @staticmethod
    def validate_image(image: Any) -> None:
        """Check that an image can be deployed.

        Parameters:
            image: an `Image`.

        Raises:
            WebserviceException: there is none, or it was not built.

        """
        state = getattr(image, "creation_state", None)
        if state != "Succeeded":
            about = "there is no image" if state is None else f"image {image.id!r} is in state {state!r}"
            raise WebserviceException(
                f"{about}: only a built image can be deployed: image.wait_for_creation(show_output=True)"
            )

    def given(self) -> dict[str, Any]:
        """Return the arguments that were given, by name."""
        return {key: value for key, value in vars(self).items() if key != "type" and value is not None}

    def __repr__(self) -> str:
        shown = [f"{key}={value!r}" for key, value in self.given().items() if key not in _NEVER_SHOWN]
        return f"{type(self).__name__}({', '.join(shown)})"


class LocalWebserviceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """Configuration of a local web service: the port that it listens on, 1 to 65535; None for a free port."""

    kind = EndpointKind.LOCAL

    def __init__(self, port: int | None = None, batching: bool | None = None, preload: bool | None = None) -> None:
        super().__init__("LOCAL")
        self.port = port
        self.batching = batching
        self.preload = preload
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check the port and the flags.

        Raises:
            WebserviceException: with all messages.

        """
        raise_all([*port_rule(self.port), *flags(self.given(), ("batching", "preload"))])


class AciServiceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """Configuration of an ACI web service: one replica; key authentication off unless asked for."""

    kind = EndpointKind.ACI

    def __init__(
        self,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        description: str | None = None,
        location: str | None = None,
        auth_enabled: bool | None = None,
        ssl_enabled: bool | None = None,
        enable_app_insights: bool | None = None,
        ssl_cert_pem_file: str | None = None,
        ssl_key_pem_file: str | None = None,
        ssl_cname: str | None = None,
        dns_name_label: str | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        collect_model_data: bool | None = None,
        cmk_vault_base_url: str | None = None,
        cmk_key_name: str | None = None,
        cmk_key_version: str | None = None,
        vnet_name: str | None = None,
        subnet_name: str | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
    ) -> None:
        super().__init__("ACI", description, tags, properties, primary_key, secondary_key, location)
        self.cpu_cores = cpu_cores
        self.memory_gb = memory_gb
        self.auth_enabled = auth_enabled
        self.ssl_enabled = ssl_enabled
        self.enable_app_insights = enable_app_insights
        self.ssl_cert_pem_file = ssl_cert_pem_file
        self.ssl_key_pem_file = ssl_key_pem_file
        self.ssl_cname = ssl_cname
        self.dns_name_label = dns_name_label
        self.collect_model_data = collect_model_data
        self.cmk_vault_base_url = cmk_vault_base_url
        self.cmk_key_name = cmk_key_name
        self.cmk_key_version = cmk_key_version
        self.vnet_name = vnet_name
        self.subnet_name = subnet_name
        self.batching = batching
        self.preload = preload
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check every rule of ACI web services.

        Raises:
            WebserviceException: with all messages.

        """
        given = self.given()
        raise_all(
            [
                *above_zero(given, ("cpu_cores", "memory_gb")),
                *flags(given, ("auth_enabled", "ssl_enabled", "enable_app_insights", "collect_model_data")),
                *flags(given, ("batching", "preload")),
                *texts(given),
                *own_keys(given, key_authentication=bool(self.auth_enabled)),
                *tls_files(given),
                *all_or_none(given, ("cmk_vault_base_url", "cmk_key_name", "cmk_key_version")),
                *all_or_none(given, ("vnet_name", "subnet_name")),
            ]
        )


class AksServiceDeploymentConfiguration(WebserviceDeploymentConfiguration):
    """Configuration of an AKS web service: autoscaled, key authentication on unless turned off."""

    kind = EndpointKind.AKS

    def __init__(
        self,
        autoscale_enabled: bool | None,
        autoscale_min_replicas: int | None,
        autoscale_max_replicas: int | None,
        autoscale_refresh_seconds: int | None,
        autoscale_target_utilization: int | None,
        collect_model_data: bool | None,
        auth_enabled: bool | None,
        cpu_cores: float | None,
        memory_gb: float | None,
        enable_app_insights: bool | None,
        scoring_timeout_ms: int | None,
        replica_max_concurrent_requests: int | None,
        max_request_wait_time: int | None,
        num_replicas: int | None,
        primary_key: str | None,
        secondary_key: str | None,
        tags: dict[str, str] | None,
        properties: dict[str, str] | None,
        description: str | None,
        gpu_cores: int | None,
        period_seconds: int | None,
        initial_delay_seconds: int | None,
        timeout_seconds: int | None,
        success_threshold: int | None,
        failure_threshold: int | None,
        namespace: str | None,
        token_auth_enabled: bool | None,
        compute_target_name: str | None,
        cpu_cores_limit: float | None,
        memory_gb_limit: float | None,
        blobfuse_enabled: bool | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
        gpu_resource: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any] | str] | None = None,
        runtime_class: str | None = None,
        model_delivery: ModelDelivery | None = None,
    ) -> None:
        super().__init__("AKS", description, tags, properties, primary_key, secondary_key)
        self.autoscale_enabled = autoscale_enabled
        self.autoscale_min_replicas = autoscale_min_replicas
        self.autoscale_max_replicas = autoscale_max_replicas
        self.autoscale_refresh_seconds = autoscale_refresh_seconds
        self.autoscale_target_utilization = autoscale_target_utilization
        self.collect_model_data = collect_model_data
        self.auth_enabled = auth_enabled
        self.cpu_cores = cpu_cores
        self.memory_gb = memory_gb
        self.enable_app_insights = enable_app_insights
        self.scoring_timeout_ms = scoring_timeout_ms
        self.replica_max_concurrent_requests = replica_max_concurrent_requests
        self.max_request_wait_time = max_request_wait_time
        self.num_replicas = num_replicas
        self.gpu_cores = gpu_cores
        self.period_seconds = period_seconds
        self.initial_delay_seconds = initial_delay_seconds
        self.timeout_seconds = timeout_seconds
        self.success_threshold = success_threshold
        self.failure_threshold = failure_threshold
        self.namespace = namespace
        self.token_auth_enabled = token_auth_enabled
        self.compute_target_name = compute_target_name
        self.cpu_cores_limit = cpu_cores_limit
        self.memory_gb_limit = memory_gb_limit
        self.blobfuse_enabled = blobfuse_enabled
        self.batching = batching
        self.preload = preload
        self.gpu_resource = gpu_resource
        self.node_selector = node_selector
        self.tolerations = tolerations
        self.runtime_class = runtime_class
        self.model_delivery = model_delivery
        self.validate_configuration()

    def validate_configuration(self) -> None:
        """Check every rule of AKS web services.

        Raises:
            WebserviceException: with all messages.

        """
        raise_all(self._broken_rules())

    def _broken_rules(self) -> Iterable[str]:
        given = self.given()
        key_authentication = self.auth_enabled is True or (self.auth_enabled is None and not self.token_auth_enabled)
        yield from above_zero(given, ("cpu_cores", "memory_gb", "cpu_cores_limit", "memory_gb_limit"))
        yield from above_zero(given, _WHOLE_NUMBERS, whole=True)
        yield from _least_replicas(given)
        yield from flags(given, _FLAGS)
        yield from texts(given)
        yield from own_keys(given, key_authentication=key_authentication)
        yield from _autoscaling(given)
        yield from _sizes(given)
        yield from placement_rules(given)
        yield from delivery_rule(given)
        yield from _others(given)


class AksEndpointDeploymentConfiguration(AksServiceDeploymentConfiguration):
    """Configuration of an AKS endpoint and its first version.

    Parameters:
        version_name: the name of the version; by default that of the endpoint.
        traffic_percentile: its share of the requests, 0 to 100.
        others: the settings of an AKS web service, by name.

    """

    kind = EndpointKind.AKS_ENDPOINT

    def __init__(self, version_name: str | None = None, traffic_percentile: int | None = None, **others: Any) -> None:
        self.version_name = version_name
        self.traffic_percentile = traffic_percentile
        super().__init__(**others)
        self.type = "AKSENDPOINT"

    def validate_endpoint_configuration(self) -> None:
        """Check the name of the version and its share.

        Raises:
            WebserviceException: with all messages.

        """
        raise_all(self._broken_endpoint_rules())

    def _broken_rules(self) -> Iterable[str]:
        yield from super()._broken_rules()
        yield from self._broken_endpoint_rules()

    def _broken_endpoint_rules(self) -> Iterable[str]:
        if self.version_name is not None:
            try:
                VERSION.check(self.version_name)
            except SpecError as error:
                yield error.message
        if self.traffic_percentile is not None:
            yield from percentile_rule("traffic_percentile", self.traffic_percentile)


def _autoscaling(given: dict[str, Any]) -> Iterable[str]:
    enabled = given.get("autoscale_enabled")
    if enabled is True and "num_replicas" in given:
        yield "autoscale_enabled=True and num_replicas cannot be combined: give one."
    if enabled is False and "num_replicas" not in given:
        yield "autoscale_enabled is False: num_replicas must be given."
    details = [name for name in _AUTOSCALE_DETAILS if name in given]
    if details and enabled is not True:
        yield f"{', '.join(details)} given: pass autoscale_enabled=True as well."
    least, most = given.get("autoscale_min_replicas"), given.get("autoscale_max_replicas")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield f"autoscale_min_replicas is {least}, above autoscale_max_replicas {most}: min must not exceed max."


def _least_replicas(given: dict[str, Any]) -> Iterable[str]:
    least = given.get("autoscale_min_replicas")
    if least is not None and (isinstance(least, bool) or not isinstance(least, int) or least < 0):
        yield (
            f"autoscale_min_replicas is {least!r}: it must be a whole number above 0, or 0 for no replica at all "
            "while there are no requests."
        )


def _sizes(given: dict[str, Any]) -> Iterable[str]:
    gpu = given.get("gpu_cores")
    if gpu is not None and (isinstance(gpu, bool) or not isinstance(gpu, int) or gpu < 0):
        yield f"gpu_cores is {gpu!r}: it must be a whole number, 0 or above."
    for name in ("cpu_cores", "memory_gb"):
        request, limit = given.get(name), given.get(f"{name}_limit")
        if isinstance(request, (int, float)) and isinstance(limit, (int, float)) and limit < request:
            yield f"{name}_limit is {limit}, below {name} {request}: a limit must cover the request."


def _others(given: dict[str, Any]) -> Iterable[str]:
    if given.get("auth_enabled") is True and given.get("token_auth_enabled") is True:
        yield "auth_enabled and token_auth_enabled are both True: a service has keys or tokens, not both."
    namespace = given.get("namespace")
    if namespace is not None and not (isinstance(namespace, str) and _NAMESPACE.fullmatch(namespace)):
        yield (
            f"namespace is {namespace!r}: it must be 1 to 63 lower-case letters, digits and '-'; "
            "a letter or digit first and last."
        )
