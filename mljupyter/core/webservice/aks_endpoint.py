"""AKS endpoints: one to six versions behind one scoring URI (Azure ML v1: AksEndpoint, controlled rollout)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mljupyter.core.webservice.aks import AksWebservice
from mljupyter.core.webservice.aks_endpoint_configuration import AksEndpointDeploymentConfiguration
from mljupyter.core.webservice.endpoint_version import AksEndpointVersion, VersionType
from mljupyter.core.webservice.releasing import ControlledRollout
from mljupyter.deploy.versions import (
    known_version,
    with_changed_version,
    with_new_version,
    with_traffic,
    without_version,
)
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import EndpointKind

if TYPE_CHECKING:
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.model import Model

_NOT_OF_A_VERSION = ("self", "version_name", "models", "inference_config", "is_default", "is_control_version_type")


class AksEndpoint(ControlledRollout, AksWebservice):
    """An endpoint deployed with `AksEndpoint.deploy_configuration`.

    Each version has models, a script, a size and a share of the requests; what no share claims goes to the default
    version, which is the first one until another one is made the default. Attributes of an `AksWebservice`, such as
    `models` and `num_replicas`, are those of the default version.
    """

    kind = EndpointKind.AKS_ENDPOINT
    VersionType = VersionType

    @staticmethod
    def deploy_configuration(  # type: ignore[override]
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
        version_name: str | None = None,
        traffic_percentile: int | None = None,
        compute_target_name: str | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
    ) -> AksEndpointDeploymentConfiguration:
        """Return a deployment configuration for `Model.deploy`, which makes the endpoint and its first version.

        Parameters:
            version_name: name of the version; by default that of the endpoint.
            traffic_percentile: its share of the requests, 0 to 100. The only version gets all of them in any case.

        All others are as in `AksWebservice.deploy_configuration`.

        Raises:
            WebserviceException: with all rules that are broken.

        Example:
            >>> config = AksEndpoint.deploy_configuration(version_name="version-a")              # doctest: +SKIP
            >>> endpoint = Model.deploy(ws, "diabetes", [model], inference_config, config)       # doctest: +SKIP
            >>> endpoint.create_version("version-b", models=[other],                             # doctest: +SKIP
            ...                         inference_config=inference_config, traffic_percentile=10)

        """
        return AksEndpointDeploymentConfiguration(**locals())

    @property
    def versions(self) -> dict[str, AksEndpointVersion]:
        """The versions by name, as of the last operation."""
        return {name: AksEndpointVersion(self, name) for name in self._spec.versions}

    def create_version(
        self,
        version_name: str,
        autoscale_enabled: bool | None = None,
        autoscale_min_replicas: int | None = None,
        autoscale_max_replicas: int | None = None,
        autoscale_refresh_seconds: int | None = None,
        autoscale_target_utilization: int | None = None,
        collect_model_data: bool | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
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
        traffic_percentile: int | None = None,
        is_default: bool | None = None,
        is_control_version_type: bool | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
    ) -> None:
        """Add a version; returns at once, `wait_for_deployment` waits. It gets its share when it is ready.

        Parameters:
            version_name: its name: 3 to 32 lower-case letters, digits and '-'; a letter first, no '-' last.
            models, inference_config: what it serves; a model of a known framework needs no inference_config.
            traffic_percentile: its share of the requests, 0 to 100; by default 0.
            is_default: True makes it the default version, once it is ready, in place of the one that is.
            is_control_version_type: True makes it the control version; the others are treatments then.
            tags, properties, description: what is said of the version.

        All others are as in `AksWebservice.deploy_configuration`.

        Raises:
            WebserviceException: when there is a version of this name, there are six already, or a rule is broken.

        """
        configuration = self.deploy_configuration(**_configured(locals()))
        configuration.version_name = version_name
        self._update(
            configuration,
            models=[] if models is None and inference_config is not None else models,
            inference_config=inference_config,
            models_alone=True,
            change=partial(
                with_new_version, name=version_name, is_default=is_default, is_control=is_control_version_type
            ),
        )

    def update_version(
        self,
        version_name: str,
        autoscale_enabled: bool | None = None,
        autoscale_min_replicas: int | None = None,
        autoscale_max_replicas: int | None = None,
        autoscale_refresh_seconds: int | None = None,
        autoscale_target_utilization: int | None = None,
        collect_model_data: bool | None = None,
        cpu_cores: float | None = None,
        memory_gb: float | None = None,
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
        traffic_percentile: int | None = None,
        is_default: bool | None = None,
        is_control_version_type: bool | None = None,
        cpu_cores_limit: float | None = None,
        memory_gb_limit: float | None = None,
        batching: bool | None = None,
        preload: bool | None = None,
    ) -> None:
        """Change what is given of a version; returns at once, `wait_for_deployment` waits.

        Parameters:
            version_name: its name.
            models, inference_config: serve these; without `models` the present ones.
            is_default, is_control_version_type: True gives it the role in place of the version that has it.
            tags: in place of all tags of the version.
            properties: added to the properties of the version.

        All others are as in `create_version`.

        Raises:
            WebserviceException: when there is no such version, nothing is given, or a rule is broken.

        """
        given = _configured(locals())
        configuration = self.deploy_configuration(**given)
        if not given and inference_config is None and models is None and is_default is is_control_version_type is None:
            raise WebserviceException("update_version() without arguments: give what is to change.")
        configuration.version_name = version_name
        self.update_deployment_state()
        present = known_version(self._spec, version_name)
        if models is None and inference_config is not None:
            models = [model.id for model in present.models]
        self._update(
            configuration,
            models=models,
            inference_config=inference_config,
            models_alone=present.no_code is not None,
            change=partial(
                with_changed_version, name=version_name, is_default=is_default, is_control=is_control_version_type
            ),
        )

    def delete_version(self, version_name: str) -> None:
        """Delete a version; what it is answering is answered first.

        Parameters:
            version_name: its name.

        Raises:
            WebserviceException: when there is no such version, when it is the default one, or the only one.

        """
        self._replace(lambda spec: without_version(spec, version_name))

    def set_traffic(
        self,
        percentiles: Mapping[str, int] | None = None,
        *,
        mirror: Mapping[str, int] | None = None,
        sticky_header: str | None = None,
    ) -> None:
        """Divide the requests anew, all versions in one step.

        Parameters:
            percentiles: shares by version, 0 to 100 each and at most 100 together; the rest goes to the default
                version, and a version that is not named has no share of its own. None leaves the shares as they are.
            mirror: percentage of the requests that are copied to a version, whose answers are thrown away; a version
                that is not named is sent none. None leaves them as they are.
            sticky_header: requests with the same value of this header meet the same version as long as the shares
                stay; the empty text turns that off. None leaves it as it is.

        Raises:
            WebserviceException: when there is no such version or a rule is broken.

        Example:
            >>> endpoint.set_traffic({"version-b": 10}, sticky_header="x-user-id")               # doctest: +SKIP

        """
        self._replace(lambda spec: with_traffic(spec, percentiles, mirror, sticky_header))

    def update(  # type: ignore[override]
        self,
        auth_enabled: bool | None = None,
        token_auth_enabled: bool | None = None,
        enable_app_insights: bool | None = None,
        description: str | None = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
    ) -> None:
        """Change what is given of the endpoint as a whole; `update_version` changes a version.

        Parameters:
            auth_enabled: whether a key is needed to score.
            tags: in place of all tags.
            properties: added to the properties.
            description: the description.
            token_auth_enabled: whether a token is needed to score; not with keys, so `auth_enabled=False` beside it.
            enable_app_insights: record requests and what the script logs, of all versions.

        Raises:
            WebserviceException: when nothing is given or a rule is broken.

        """
        given = {name: value for name, value in locals().items() if name != "self"}
        self._update(self.deploy_configuration(**given))

    def serialize(self) -> dict[str, Any]:
        """Return all that is known as JSON types, without keys."""
        return super().serialize() | {
            "versions": {name: version.serialize() for name, version in self.versions.items()},
            "defaultVersion": self._spec.default_version,
            "controlVersion": self._spec.control,
            "stickyHeader": self._spec.sticky_header,
            "rollout": self._known.rollout.document() if self._known.rollout is not None else None,
        }


def _configured(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given of the arguments that are settings of a version."""
    return {name: value for name, value in arguments.items() if name not in _NOT_OF_A_VERSION and value is not None}
