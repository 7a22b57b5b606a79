"""AKS endpoints: one to six versions behind one scoring URI, with traffic shares and canary rollouts.

Azure: AksEndpoint of azureml.core.webservice (controlled rollout).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from mljupyter import deploy
from mljupyter.core.display import Rows, pairs
from mljupyter.core.webservice.aks import AksAttributes, AksWebservice
from mljupyter.core.webservice.configuration import AksEndpointDeploymentConfiguration
from mljupyter.durations import seconds_of
from mljupyter.engine.rollout.unknown_version import unknown_version
from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec import EndpointKind, EndpointRecord, EndpointSpec, Rollout, RolloutPlan, VersionSpec, VersionStatus
from mljupyter.spec.names import AZURE_VERSION
from mljupyter.spec.rollout import LEAST_REQUESTS
from mljupyter.spec.router import VERSION_HEADERS
from mljupyter.spec.version import ModelDelivery

if TYPE_CHECKING:
    from mljupyter.core import InferenceConfig, Model

_AZURE_MODULE = "azureml.core"
"""A process that has imported this module runs a notebook for Azure ML v1, which expects its rules for names."""

_NOT_OF_A_VERSION = ("self", "version_name", "models", "inference_config", "is_default", "is_control_version_type")


class VersionType:
    """Roles of versions in a comparison: treatments are compared with the control version."""

    control = "Control"
    treatment = "Treatment"


class AksEndpointVersion(AksAttributes):
    """One version of an AKS endpoint, from `AksEndpoint.versions`.

    It has the attributes of an AKS web service, as of the endpoint's last operation. Keys, scoring URI and
    authentication are those of the endpoint.
    """

    kind = EndpointKind.AKS

    def __init__(self, endpoint: AksEndpoint, name: str) -> None:
        self.workspace = endpoint.workspace
        self.name = name
        self.endpoint = endpoint
        self._record = endpoint.record
        self._deleted = False

    @property
    def is_default(self) -> bool:
        """True if it is the default version, which gets the requests that no percentile assigns."""
        return self._spec.default_version == self.name

    @property
    def traffic_percentile(self) -> int:
        """Its share of the requests as it was set; the default version gets the unassigned rest as well."""
        return self._version.traffic_percentile

    @property
    def mirror_percentile(self) -> int:
        """The percentage of the requests that are mirrored: copied to it, with their answers discarded."""
        return self._version.mirror_percentile

    @property
    def weight(self) -> int:
        """The percentage of the requests that the router sends to it now."""
        return self._status.weight

    @property
    def version_type(self) -> str:
        """Control or Treatment."""
        return VersionType.control if self._spec.control == self.name else VersionType.treatment

    @property
    def state(self) -> str:
        """Transitioning, Healthy, Unhealthy, Unschedulable or Failed."""
        return self._status.state.value

    @property
    def error(self) -> str | None:
        """Its problem, with the last lines of its log; None when there is none."""
        return self._status.problem.text() if self._status.problem is not None else None

    @property
    def description(self) -> str | None:
        """The description."""
        return self._version.description

    @property
    def tags(self) -> dict[str, str]:
        """The tags, a copy."""
        return dict(self._version.tags)

    @property
    def properties(self) -> dict[str, str]:
        """The properties, a copy."""
        return dict(self._version.properties)

    def run(self, input_data: Any) -> Any:
        """Send a request to this version, whatever its share; see `Webservice.run`."""
        return self.endpoint._run(input_data, {VERSION_HEADERS[0]: self.name})

    def get_logs(self, num_lines: int = 5000, init: bool = False) -> str:
        """Return the last lines of the log of its replicas; parameters as for `Webservice.get_logs`."""
        with as_webservice_exception():
            return self.workspace.endpoints.logs(self.endpoint.name, lines=num_lines, version=self.name, startup=init)

    def update(self, **changes: Any) -> None:
        """Change this version; the parameters are those of `AksEndpoint.update_version`."""
        self.endpoint.update_version(self.name, **changes)

    def delete(self) -> None:
        """Delete this version; see `AksEndpoint.delete_version`."""
        self.endpoint.delete_version(self.name)

    def serialize(self) -> dict[str, Any]:
        """Return all attributes as JSON types."""
        return super().serialize() | {
            "isDefault": self.is_default,
            "type": self.version_type,
            "trafficPercentile": self.traffic_percentile,
            "mirrorPercentile": self.mirror_percentile,
            "weight": self.weight,
        }

    def _summary(self) -> Rows:
        return [
            ("Name", self.name),
            ("State", self.state),
            ("Type", self.version_type),
            ("Traffic", f"{self.weight} %"),
            ("Models", ", ".join(model.id for model in self._version.models)),
            ("Tags", pairs(self.tags)),
        ]

    @property
    def _version(self) -> VersionSpec:
        return self._spec.versions[self.name]

    @property
    def _status(self) -> VersionStatus:
        return self.record.status.versions.get(self.name, VersionStatus())


class AksEndpoint(AksWebservice):
    """An endpoint deployed with `AksEndpoint.deploy_configuration`.

    Each version has models, a script, a size and a share of the requests. Requests that no share assigns go to the
    default version, which is the first one until another one is made the default. Attributes of an `AksWebservice`,
    such as `models` and `num_replicas`, are those of the default version.
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
        gpu_resource: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any] | str] | None = None,
        runtime_class: str | None = None,
        model_delivery: ModelDelivery | None = None,
    ) -> AksEndpointDeploymentConfiguration:
        """Return a deployment configuration for `Model.deploy`, which creates the endpoint and its first version.

        Parameters:
            version_name: the name of the version; by default that of the endpoint.
            traffic_percentile: its share of the requests, 0 to 100. A single version always gets all of them.

        All other parameters are those of `AksWebservice.deploy_configuration`.

        Raises:
            WebserviceException: rules are broken; the message has all of them.

        Example:
            >>> config = AksEndpoint.deploy_configuration(version_name="version-a")              # doctest: +SKIP
            >>> endpoint = Model.deploy(ws, "diabetes", [model], inference_config, config)       # doctest: +SKIP
            >>> endpoint.create_version("version-b", models=[other],                             # doctest: +SKIP
            ...                         inference_config=inference_config, traffic_percentile=10)

        """
        configuration = AksEndpointDeploymentConfiguration(**locals())
        _check_version_name(version_name)
        return configuration

    @property
    def versions(self) -> dict[str, AksEndpointVersion]:
        """The versions by name, as of the last operation. A `KeyError` for another name has those that exist."""
        return _Versions(self._spec, {name: AksEndpointVersion(self, name) for name in self._spec.versions})

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
        gpu_resource: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any] | str] | None = None,
        runtime_class: str | None = None,
        model_delivery: ModelDelivery | None = None,
    ) -> None:
        """Add a version; return at once. It gets its share when it is ready, and `wait_for_deployment` waits for that.

        Parameters:
            version_name: its name: 1 to 32 lower-case letters, digits and '-'; a letter first, no '-' last. With
                the names of ``azureml`` at least 3, as in Azure ML v1.
            models, inference_config: its models and scoring script; a model of a known framework needs no script.
            traffic_percentile: its share of the requests, 0 to 100; by default 0.
            is_default: True makes it the default version, once it is ready, in place of the one that is.
            is_control_version_type: True makes it the control version; the others are treatments then.
            tags, properties, description: of the version.

        All other parameters are those of `AksWebservice.deploy_configuration`.

        Raises:
            WebserviceException: there is a version of this name, there are six already, or a rule is broken.

        """
        configuration = self.deploy_configuration(**_configured(locals()))
        _check_version_name(version_name)
        configuration.version_name = version_name
        self._update(
            configuration,
            models=[] if models is None and inference_config is not None else models,
            inference_config=inference_config,
            models_alone=True,
            change=partial(
                deploy.versions.with_new_version,
                name=version_name,
                is_default=is_default,
                is_control=is_control_version_type,
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
        gpu_resource: str | None = None,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any] | str] | None = None,
        runtime_class: str | None = None,
        model_delivery: ModelDelivery | None = None,
    ) -> None:
        """Change the settings of a version that are given; return at once. `wait_for_deployment` waits.

        Parameters:
            version_name: its name.
            models, inference_config: the new models and scoring script; without `models` the present ones.
            is_default, is_control_version_type: True gives it the role in place of the version that has it.
            tags: replace all tags of the version.
            properties: are added to the properties of the version.

        All other parameters are those of `create_version`.

        Raises:
            WebserviceException: there is no such version, nothing is given, or a rule is broken.

        """
        given = _configured(locals())
        configuration = self.deploy_configuration(**given)
        if not given and inference_config is None and models is None and is_default is is_control_version_type is None:
            raise WebserviceException("update_version() without arguments: give the settings to change.")
        configuration.version_name = version_name
        self.update_deployment_state()
        present = deploy.versions.known_version(self._spec, version_name)
        if models is None and inference_config is not None:
            models = [model.id for model in present.models]
        self._update(
            configuration,
            models=models,
            inference_config=inference_config,
            models_alone=present.no_code is not None,
            delivery=present.model_delivery,
            change=partial(
                deploy.versions.with_changed_version,
                name=version_name,
                is_default=is_default,
                is_control=is_control_version_type,
            ),
        )

    def delete_version(self, version_name: str) -> None:
        """Delete a version; requests that it is answering are answered first.

        Parameters:
            version_name: its name.

        Raises:
            WebserviceException: there is no such version, or it is the default one, or the only one.

        """
        self._replace(lambda spec: deploy.versions.without_version(spec, version_name))

    def set_traffic(
        self,
        percentiles: Mapping[str, int] | None = None,
        *,
        mirror: Mapping[str, int] | None = None,
        sticky_header: str | None = None,
    ) -> None:
        """Change the traffic shares of all versions in one step.

        Parameters:
            percentiles: shares by version, 0 to 100 each and at most 100 together; the rest goes to the default
                version. A version that is not named gets 0. None keeps the shares.
            mirror: percentage of the requests that are mirrored to a version: copied to it, with their answers
                discarded. A version that is not named gets 0. None keeps the percentages.
            sticky_header: requests with the same value of this header go to the same version as long as the shares
                stay the same. The empty string turns that off; None keeps the setting.

        Raises:
            WebserviceException: there is no such version, or a rule is broken.

        Example:
            >>> endpoint.set_traffic({"version-b": 10}, sticky_header="x-user-id")               # doctest: +SKIP

        """
        self._replace(lambda spec: deploy.versions.with_traffic(spec, percentiles, mirror, sticky_header))

    def rollout(
        self,
        version: str,
        steps: Sequence[int] = (5, 25, 100),
        every: float | str | timedelta = "1m",
        guard: str | None = None,
        *,
        promote: bool = False,
        least_requests: int = LEAST_REQUESTS,
    ) -> Rollout:
        """Start a canary rollout: give a version a rising share of the requests, guarded by conditions.

        The share is taken from the default version first, then from the others in proportion. The rollout continues
        without this process. When a condition of the guard is broken, or the version has no ready replica, the previous
        shares are restored at once. During a rollout, changes of versions and shares are refused.

        Parameters:
            version: name of the version; it must be Healthy and not the default.
            steps: its increasing shares in percent.
            every: the minimum duration of each step, the last one included: ``"5m"``, a number of seconds, a
                `timedelta`.
            guard: conditions, such as ``"p95<200ms, errors<1%"``: latency p50, p90, p95, p99 as the router measures it
                and the percentage of answers 5xx, each over the current step.
            promote: True makes it the default and the control version at the end.
            least_requests: number of requests from which on a condition is checked; a step with fewer waits for more.

        Returns:
            The rollout in its first step.

        Raises:
            WebserviceException: a rule is broken, or another rollout is under way.

        Example:
            >>> endpoint.rollout("version-b", steps=[5, 25, 100], every="10m",                   # doctest: +SKIP
            ...                  guard="p95<200ms, errors<1%", promote=True)
            >>> endpoint.wait_for_rollout(show_output=True)                                      # doctest: +SKIP

        """
        self._check_not_deleted()
        with as_webservice_exception():
            plan = RolloutPlan.parse(
                {
                    "version": version,
                    "steps": list(steps),
                    "everySeconds": seconds_of(every, "every"),
                    "guard": guard,
                    "promote": promote,
                    "leastRequests": least_requests,
                }
            )
            return self._shown(self.workspace.endpoints.start_rollout(self.name, plan))

    def pause_rollout(self) -> Rollout:
        """Pause the rollout in its current step; its guard stays in effect.

        Raises:
            WebserviceException: no rollout is running. `resume_rollout` and `abort_rollout` raise it as well.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            return self._shown(self.workspace.endpoints.control_rollout(self.name, "pause"))

    def resume_rollout(self) -> Rollout:
        """Resume a paused rollout; its current step begins again."""
        self._check_not_deleted()
        with as_webservice_exception():
            return self._shown(self.workspace.endpoints.control_rollout(self.name, "resume"))

    def abort_rollout(self) -> Rollout:
        """Abort the rollout; return when the previous shares are in effect."""
        self._check_not_deleted()
        with as_webservice_exception():
            client = self.workspace.endpoints
            client.control_rollout(self.name, "abort")
            return self._shown(deploy.rollout.follow_rollout(client, self.name, say=deploy.wait.keep_silent))

    def rollout_status(self) -> Rollout | None:
        """Return the current rollout, or else the last one; None if there was none. Its `text()` describes it."""
        self.update_deployment_state()
        return self.record.rollout

    def wait_for_rollout(self, show_output: bool = False, timeout_sec: float | None = None) -> Rollout | None:
        """Wait until no rollout is in progress and the router uses the resulting shares; return the last rollout.

        Its `phase` is Completed, Returned or Aborted; its `reason` says why.

        Parameters:
            show_output: print a line for each step and for the end.
            timeout_sec: seconds to wait at most; None for no limit.

        Raises:
            WebserviceException: the timeout has passed; the rollout continues.

        """
        self._check_not_deleted()
        say = print if show_output else deploy.wait.keep_silent
        with as_webservice_exception():
            self._show(deploy.rollout.follow_rollout(self.workspace.endpoints, self.name, timeout=timeout_sec, say=say))
        return self.record.rollout

    def promote(self, version: str) -> None:
        """Make a version the default and the control version, and give it all requests; return at once.

        It takes over when it is ready; `wait_for_deployment` waits. The other versions stay, without requests.

        Parameters:
            version: its name.

        Raises:
            WebserviceException: there is no such version, or a rollout is under way.

        """
        self._check_not_deleted()
        with as_webservice_exception():
            before = self._spec
            self._show_change(before, self.workspace.endpoints.promote(self.name, version))

    def _shown(self, record: EndpointRecord) -> Rollout:
        self._show(record)
        assert record.rollout is not None  # noqa: S101 - narrows the type
        return record.rollout

    def update(  # type: ignore[override]
        self,
        auth_enabled: bool | None = None,
        token_auth_enabled: bool | None = None,
        enable_app_insights: bool | None = None,
        description: str | None = None,
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
    ) -> None:
        """Change settings of the endpoint as a whole; `update_version` changes a version.

        Parameters:
            auth_enabled: whether requests need a key.
            tags: replace all tags.
            properties: are added to the properties.
            description: the description.
            token_auth_enabled: whether requests need a token; give `auth_enabled=False` as well.
            enable_app_insights: record requests and the script's log, for all versions.

        Raises:
            WebserviceException: nothing is given, or a rule is broken.

        """
        given = {name: value for name, value in locals().items() if name != "self"}
        self._update(self.deploy_configuration(**given))

    def serialize(self) -> dict[str, Any]:
        """Return all attributes as JSON types, without keys."""
        return super().serialize() | {
            "versions": {name: version.serialize() for name, version in self.versions.items()},
            "defaultVersion": self._spec.default_version,
            "controlVersion": self._spec.control,
            "stickyHeader": self._spec.sticky_header,
            "rollout": self.record.rollout.document() if self.record.rollout is not None else None,
        }


class _Versions(dict[str, AksEndpointVersion]):
    """The versions of an endpoint by name; the error for an unknown name has the existing ones."""

    def __init__(self, spec: EndpointSpec, versions: Mapping[str, AksEndpointVersion]) -> None:
        super().__init__(versions)
        self._spec = spec

    def __missing__(self, name: str) -> AksEndpointVersion:
        raise KeyError(unknown_version(self._spec, name))


def _configured(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that were given and are settings of a version."""
    return {name: value for name, value in arguments.items() if name not in _NOT_OF_A_VERSION and value is not None}


def _check_version_name(name: str | None) -> None:
    """Refuse a name that Azure ML v1 refuses, in a process that uses the names of ``azureml``."""
    if name is not None and _AZURE_MODULE in sys.modules:
        with as_webservice_exception():
            AZURE_VERSION.check(name)
