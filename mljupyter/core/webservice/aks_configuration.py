"""Deployment configuration of AKS web services and its rules (Azure ML v1: AksWebservice.deploy_configuration)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from mljupyter.core.webservice.configuration import WebserviceDeploymentConfiguration
from mljupyter.deploy.configuration_rules import above_zero, flags, own_keys, raise_all, texts
from mljupyter.spec import EndpointKind

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
        yield from _others(given)


def _autoscaling(given: dict[str, Any]) -> Iterable[str]:
    enabled = given.get("autoscale_enabled")
    if enabled is True and "num_replicas" in given:
        yield "autoscale_enabled=True and num_replicas exclude each other: give one."
    if enabled is False and "num_replicas" not in given:
        yield "autoscale_enabled is False: num_replicas must be given."
    details = [name for name in _AUTOSCALE_DETAILS if name in given]
    if details and enabled is not True:
        yield f"{', '.join(details)} given: pass autoscale_enabled=True, too."
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
