"""AKS web services: autoscaling and key authentication by default.

Azure: azureml.core.webservice.aks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.core.webservice.configuration import AksServiceDeploymentConfiguration
from mljupyter.core.webservice.types import AutoScaler, ContainerResourceRequirements, LivenessProbeRequirements
from mljupyter.core.webservice.webservice import EndpointAttributes, Webservice
from mljupyter.spec import EndpointKind
from mljupyter.spec.version import ModelDelivery

if TYPE_CHECKING:
    from mljupyter.core import InferenceConfig, Model


class AksAttributes(EndpointAttributes):
    """Read-only attributes that an AKS web service and one version of an AKS endpoint both have."""

    @property
    def container_resource_requirements(self) -> ContainerResourceRequirements:
        """The size of a replica."""
        return ContainerResourceRequirements.of(self._version.resources)

    @property
    def placement(self) -> dict[str, Any]:
        """The nodes and the namespace of replicas, as in the document: ``nodeSelector``, ``tolerations``."""
        return {} if self._version.placement is None else self._version.placement.document()

    @property
    def namespace(self) -> str | None:
        """The namespace of the cluster that its replicas run in; None for that of the compute target."""
        return None if self._version.placement is None else self._version.placement.namespace

    @property
    def liveness_probe_requirements(self) -> LivenessProbeRequirements:
        """The liveness probe of its replicas."""
        return LivenessProbeRequirements.of(self._version.probe)

    @property
    def autoscaler(self) -> AutoScaler:
        """The rules of autoscaling."""
        return AutoScaler.of(self._version.scaling)

    @property
    def num_replicas(self) -> int | None:
        """The fixed number of replicas; None with autoscaling."""
        return self._version.scaling.replicas

    @property
    def scoring_timeout_ms(self) -> int:
        """The longest time that a request may run, in milliseconds."""
        return self._version.limits.scoring_timeout_ms

    @property
    def max_concurrent_requests_per_container(self) -> int:
        """The number of requests that a replica runs at once."""
        return self._version.limits.max_concurrent_requests

    @property
    def max_request_wait_time(self) -> int:
        """The longest time that a request may wait for a replica, in milliseconds."""
        return self._version.limits.max_queue_wait_ms

    def serialize(self) -> dict[str, Any]:
        """Return all attributes as JSON types, without keys."""
        return super().serialize() | {
            "containerResourceRequirements": self.container_resource_requirements.serialize(),
            **({"placement": self.placement} if self.placement else {}),
            "namespace": self.namespace,
            "livenessProbeRequirements": self.liveness_probe_requirements.serialize(),
            "autoScaler": self.autoscaler.serialize(),
            "numReplicas": self.num_replicas,
            "scoringTimeoutMs": self.scoring_timeout_ms,
            "maxConcurrentRequestsPerContainer": self.max_concurrent_requests_per_container,
            "maxQueueWaitMs": self.max_request_wait_time,
        }


class AksWebservice(AksAttributes, Webservice):
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
        gpu_resource: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any] | str] | None = None,
        runtime_class: str | None = None,
        model_delivery: ModelDelivery | None = None,
    ) -> AksServiceDeploymentConfiguration:
        """Return a deployment configuration for `Model.deploy`.

        Parameters:
            autoscale_enabled: autoscaling; by default on, unless `num_replicas` is given.
            autoscale_min_replicas, autoscale_max_replicas: bounds, by default 1 and 10. With a minimum of 0, the last
                replica stops when there are no requests; see `Webservice.scale`.
            autoscale_refresh_seconds: time between decisions, by default 1.
            autoscale_target_utilization: the share of busy replicas to aim at in percent, by default 70.
            num_replicas: a fixed number of replicas, in place of autoscaling.
            auth_enabled: whether requests need a key; by default they do.
            token_auth_enabled: tokens instead of keys; by default not. Not together with `auth_enabled=True`.
            primary_key, secondary_key: keys of your own; by default random ones.
            cpu_cores, memory_gb: requested size of a replica, above 0; by default 0.1 cores and 0.5 GB.
            cpu_cores_limit, memory_gb_limit: the most that it may use, not below the request. The default on a Docker
                engine: all cores, and three quarters of the memory or the request, whichever is more.
            gpu_cores: GPUs or other accelerators of a replica, on a cluster; by default 0.
            gpu_resource: the name under which the cluster's nodes count them, such as ``amd.com/gpu``; by default that
                of the compute target, ``nvidia.com/gpu`` unless it was attached with another one.
            node_selector: labels that a node must have to run replicas, by name.
            tolerations: taints of nodes that replicas tolerate: text, as for ``kubectl taint``
                (``"gpu=yes:NoSchedule"``), or a mapping, as in a pod of Kubernetes.
            runtime_class: the RuntimeClass of the cluster that runs the containers; by default its own default.
            model_delivery: how models reach replicas on a cluster: ``"mount"`` fetches them from the workspace's
                container registry when a replica starts, ``"bake"`` makes them part of the image. By default models of
                100 MB and more together are mounted, if the workspace has a registry.
            scoring_timeout_ms: the longest time that a request may run, by default 60000.
            replica_max_concurrent_requests: requests that a replica runs at once, by default 1.
            max_request_wait_time: milliseconds that a request may wait for a replica, by default 500; then 503.
            period_seconds, initial_delay_seconds, timeout_seconds, success_threshold, failure_threshold: liveness
                probe of a replica, as in Kubernetes; by default 10, 310, 2, 1 and 3.
            tags, properties, description: of the service.
            compute_target_name: name of the compute target; `deployment_target` of `Model.deploy` overrides it.
            enable_app_insights: record requests and the script's log (docs/logs-and-insights.md); by default not.
            collect_model_data: let the script's `ModelDataCollector` write; by default it does not.
            batching: whether several waiting requests are answered by one ``run()``; by default the script decides.
            preload: run ``init()`` once, in a process from which all replicas are forked; by default not.
            namespace: the namespace of a cluster that the replicas run in; by default that of the compute target. An
                administrator has allowed it by `endpoint_namespaces` of `KubernetesCompute.attach_configuration`.
            blobfuse_enabled: without effect on the targets of this machine. So are accelerators and placement:
                `gpu_cores`, `gpu_resource`, `node_selector`, `tolerations`, `runtime_class`, `namespace`, and
                `model_delivery`.

        Raises:
            WebserviceException: rules are broken; the message has all of them.

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
        gpu_resource: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any] | str] | None = None,
        runtime_class: str | None = None,
        model_delivery: ModelDelivery | None = None,
        **kwargs: Any,
    ) -> None:
        """Change the settings that are given, the content, or both; return at once.

        `wait_for_deployment` waits.

        Parameters:
            tags: replace all tags.
            properties: are added to the properties.
            node_selector, tolerations, runtime_class: replace the present ones; an empty value takes them away.
            model_delivery: only with `inference_config`, since the image is built again; without it, the present one.
            namespace: replicas start in the new namespace; the old ones serve until those are ready.
            models, inference_config: the new models and scoring script; without `models` the present ones. Models
                alone are enough if there is no scoring script.
            image: the new image, or its id ``name:version``; the web service must run in containers.
            kwargs: none; an unknown name is an error.

        All other parameters are those of `deploy_configuration`.

        Raises:
            WebserviceException: nothing is given, or a rule is broken.

        """
        given = locals()
        if kwargs:
            raise TypeError(f"update() got unexpected arguments: {', '.join(sorted(kwargs))}")
        others = ("self", "image", "models", "inference_config", "kwargs")
        configuration = self.deploy_configuration(**{name: given[name] for name in given if name not in others})
        self._update(
            configuration,
            image=image,
            models=models,
            inference_config=inference_config,
            delivery=self._version.model_delivery,
        )
