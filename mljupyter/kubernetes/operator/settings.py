"""OperatorSettings: what the operator's Deployment tells it by environment variables and mounted files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mljupyter.errors import MLJupyterError
from mljupyter.kubernetes.objects import names
from mljupyter.spec import ReplicaDefaults, SpecError


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

    @classmethod
    def of_pod(cls, environment: Mapping[str, str] = os.environ) -> OperatorSettings:
        """Return the settings of the pod that this process runs in.

        Raises:
            OperatorSettingsError: when a variable or a file is missing; the message names it.

        """
        try:
            access = Path(names.ACCESS_DIRECTORY)
            return cls(
                namespace=environment[names.NAMESPACE_VARIABLE],
                pod=environment[names.POD_NAME_VARIABLE],
                target=environment[names.TARGET_VARIABLE],
                workspace=environment[names.WORKSPACE_VARIABLE],
                replicas=ReplicaDefaults.parse(environment.get(names.REPLICAS_VARIABLE) or "{}"),
                api_secret=(access / names.API_KEY).read_text().strip(),
                internal_secret=(access / names.INTERNAL_KEY).read_text().strip(),
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
