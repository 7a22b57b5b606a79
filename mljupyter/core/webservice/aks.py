"""AKS web services: autoscaled, with keys unless turned off (Azure ML v1: AksWebservice)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core.webservice.aks_configuration import AksServiceDeploymentConfiguration
from mljupyter.core.webservice.aks_described import DescribedAksWebservice
from mljupyter.core.webservice.base import Webservice
from mljupyter.spec import EndpointKind

if TYPE_CHECKING:
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.model import Model


class AksWebservice(DescribedAksWebservice, Webservice):
    """A web service deployed with `AksWebservice.deploy_configuration`."""

    kind = EndpointKind.AKS

    @staticmethod
    def deploy_configuration(
        autoscale_enabled: bool | None = None,
        autoscale_min_replicas: int | None = None,
        autoscale_max_replicas: int | None = None,
        autoscale_refresh_seconds: int | None = None,
        autoscale_target_utilization: int | None = None,
        collect_model_data: bool | None = None,
        auth_enabled: bool | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        enable_app_insights: bool | None = None,
        scoring_timeout_ms: int | None = None,
        replica_max_concurrent_requests: int | None = None,
        max_request_wait_time: int | None = None,
        num_replicas: int | None = None,
        primary_key: str | None = None,
        secondary_key: str | None = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        description: str | None = None,
        gpu_cores: int | None = None,
        period_seconds: int | None = None,
        initial_delay_seconds: int | None = None,
        timeout_seconds: int | None = None,
        success_threshold: int | None = None,
        failure_threshold: int | None = None,
        namespace: str | None = None,
        token_auth_enabled: bool | None = None,
        compute_target_name: str | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
        blobfuse_enabled: bool | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
    ) -> AksServiceDeploymentConfiguration:
        """Return a deployment configuration for `Model.deploy`.

        Parameters:
            autoscale_enabled: follow the load; by default, unless `num_replicas` is given.
            autoscale_min_replicas, autoscale_max_replicas: bounds, by default 1 and 10. With a minimum of 0, the last
                replica ends when there are no requests; see `Webservice.scale`.
            autoscale_refresh_seconds: how often to look, by default every second.
            autoscale_target_utilization: busy replicas in percent of all, by default 70.
            num_replicas: a fixed number of replicas instead.
            auth_enabled: whether a key is needed to score; by default it is.
            token_auth_enabled: tokens instead of keys; by default not. Not together with `auth_enabled=True`.
            primary_key, secondary_key: own keys; by default random ones.
            cpu_cores, memory_gb: size of a replica, above 0; by default 0.1 cores and 0.5 GB.
            cpu_cores_limit, memory_gb_limit: what it may use at most, not below its size; without, on a Docker
                engine, all cores, and three quarters of the memory or its size if that is more.
            gpu_cores: GPUs of a replica.
            scoring_timeout_ms: how long a request may run, by default 60000.
            replica_max_concurrent_requests: requests that a replica runs at once, by default 1.
            max_request_wait_time: milliseconds that a request may wait for a replica, by default 500; then 503.
            period_seconds, initial_delay_seconds, timeout_seconds, success_threshold, failure_threshold: when a
                replica counts as dead; by default 10, 310, 2, 1 and 3.
            tags, properties, description: what is said of the service.
            compute_target_name: ``local``, if given.
            enable_app_insights: record requests and what the script logs (docs/logs-and-insights.md); by default not.
            collect_model_data: let the script's `ModelDataCollector` write; by default it does not.
            batching: whether requests that wait together are answered by one ``run()``; by default the script decides.
            preload: run ``init()`` once and let replicas share the memory it fills; by default not.
            namespace, blobfuse_enabled: without effect on this machine.

        Raises:
            WebserviceException: with all rules that are broken.

        """
        return AksServiceDeploymentConfiguration(**locals())

    def update(
        self,
        image: Any = None,
        autoscale_enabled: bool | None = None,
        autoscale_min_replicas: int | None = None,
        autoscale_max_replicas: int | None = None,
        autoscale_refresh_seconds: int | None = None,
        autoscale_target_utilization: int | None = None,
        collect_model_data: bool | None = None,
        auth_enabled: bool | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
        enable_app_insights: bool | None = None,
        scoring_timeout_ms: int | None = None,
        replica_max_concurrent_requests: int | None = None,
        max_request_wait_time: int | None = None,
        num_replicas: int | None = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        description: str | None = None,
        models: Sequence[Model | str] | None = None,
        inference_config: InferenceConfig | None = None,
        gpu_cores: int | None = None,
        period_seconds: int | None = None,
        initial_delay_seconds: int | None = None,
        timeout_seconds: int | None = None,
        success_threshold: int | None = None,
        failure_threshold: int | None = None,
        namespace: str | None = None,
        token_auth_enabled: bool | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Change what is given; returns at once, `wait_for_deployment` waits.

        Parameters:
            tags: in place of all tags.
            properties: added to the properties.
            models, inference_config: serve these; without `models` the present ones. Models alone will do where there
                is no scoring script.
            image: serve from this image, or id ``name:version``; the web service must run in containers.
            kwargs: none; an unknown name is an error.

        All others are as in `deploy_configuration`.

        Raises:
            WebserviceException: when nothing is given or a rule is broken.

        """
        given = locals()
        if kwargs:
            raise TypeError(f"update() got unexpected arguments: {', '.join(sorted(kwargs))}")
        others = ("self", "image", "models", "inference_config", "kwargs")
        configuration = self.deploy_configuration(**{name: given[name] for name in given if name not in others})
        self._update(configuration, image=image, models=models, inference_config=inference_config)
