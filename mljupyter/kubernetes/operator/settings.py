"""OperatorSettings: what the operator's Deployment tells it by environment variables and mounted files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mljupyter.errors import MLJupyterError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Purpose, ServiceType
from mljupyter.kubernetes.objects.place import namespaces_of, places
from mljupyter.spec import ReplicaDefaults, RouterScaling, SpecError


class OperatorSettingsError(MLJupyterError):
    """The operator's pod has not been given everything that it needs."""


@dataclass(frozen=True)
class OperatorSettings:
    """The settings of an operator.

    Parameters:
        namespace: its namespace.
        pod: the name of its pod.
        target: the name of the compute target in the workspace.
        workspace: the name of the workspace.
        replicas: the placement of all replicas.
        api_secret: the secret that clients send.
        internal_secret: the secret between operator and router agents.
        directory: for its files, which may be lost.
        port: of its API.
        webhook_port: of the webhook that the API server asks.
        kubeconfig: a file for development outside the cluster; None for the credentials of the pod.
        scaling: the settings of the router's self-scaling; None without it.
        endpoint_namespaces: the other namespaces that replicas may run in.
        service: how clients reach the router.
        gateway: namespace and name of the Gateway of the router's HTTPRoute.

    """

    namespace: str
    pod: str
    target: str
    workspace: str
    api_secret: str = field(repr=False)
    internal_secret: str = field(repr=False)
    replicas: ReplicaDefaults = field(default_factory=ReplicaDefaults)
    directory: Path = Path(names.STATE_DIRECTORY)
    port: int = names.OPERATOR_PORT
    webhook_port: int = names.WEBHOOK_PORT
    kubeconfig: Path | None = None
    scaling: RouterScaling | None = None
    endpoint_namespaces: tuple[str, ...] = ()
    service: ServiceType = ServiceType.CLUSTER_IP
    gateway: tuple[str, str] = ("", "")

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces that replicas may run in."""
        return tuple(place.namespace for place in places(self.namespace, self.endpoint_namespaces))

    @classmethod
    def of_pod(cls, environment: Mapping[str, str] = os.environ) -> OperatorSettings:
        """Return the settings of the pod that this process runs in.

        Raises:
            OperatorSettingsError: when a variable or a file is missing or breaks a rule; the message names it.

        """
        scaling = scaling_of(environment)
        place = environment.get(names.GATEWAY_NAMESPACE_VARIABLE, "")
        try:
            access = Path(names.ACCESS_DIRECTORY)
            return cls(
                namespace=environment[names.NAMESPACE_VARIABLE],
                pod=environment[names.POD_NAME_VARIABLE],
                target=environment[names.TARGET_VARIABLE],
                workspace=environment[names.WORKSPACE_VARIABLE],
                replicas=ReplicaDefaults.parse(environment.get(names.REPLICAS_VARIABLE) or "{}"),
                api_secret=(access / names.API_KEY).read_text(encoding="utf-8").strip(),
                internal_secret=(access / names.INTERNAL_KEY).read_text(encoding="utf-8").strip(),
                scaling=scaling,
                endpoint_namespaces=namespaces_of(environment.get(names.ENDPOINT_NAMESPACES_VARIABLE, "")),
                service=ServiceType(environment.get(names.SERVICE_TYPE_VARIABLE) or ServiceType.CLUSTER_IP),
                gateway=(place, environment.get(names.GATEWAY_VARIABLE, "")),
            )
        except SpecError as error:
            raise OperatorSettingsError(
                f"the environment variable {names.REPLICAS_VARIABLE} breaks a rule: {error.message}"
            ) from None
        except KeyError as error:
            raise OperatorSettingsError(
                f"the environment variable {error.args[0]} is missing. Install the operator by its manifests:\n"
                "mljupyter computetarget attach"
            ) from None
        except OSError as error:
            raise OperatorSettingsError(
                f"{error.filename} cannot be read: {error.strerror}. The Secret {names.ACCESS_SECRET} has it."
            ) from None


def scaling_of(environment: Mapping[str, str]) -> RouterScaling | None:
    """Return the settings of the router's self-scaling: only for the purpose FAST_PROD.

    Each setting has a variable, such as ``MLJUPYTER_ROUTER_MAX_PODS`` for `max_pods`.

    Raises:
        OperatorSettingsError: when a value breaks a rule.

    Example:
        >>> scaling_of({"MLJUPYTER_PURPOSE": "DevTest"}) is None
        True
        >>> scaling_of({"MLJUPYTER_PURPOSE": "FastProd", "MLJUPYTER_ROUTER_MAX_PODS": "20"}).max_pods
        20

    """
    if environment.get(names.PURPOSE_VARIABLE) != Purpose.FAST_PROD:
        return None
    variables = {names.ROUTER_SETTING + name.upper(): name for name in RouterScaling.model_fields}
    given = {name: environment[variable] for variable, name in variables.items() if variable in environment}
    try:
        return RouterScaling.parse(given)
    except SpecError as error:
        raise OperatorSettingsError(
            f"the self-scaling of the router: {error.message}\nThe operator has these settings in variables "
            f"{names.ROUTER_SETTING}...; see docs/kubernetes-administration.md."
        ) from None
