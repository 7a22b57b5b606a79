"""Profiling of models: the entry point (Azure ML v1: Model.profile)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mljupyter.exceptions import WebserviceException, as_webservice_exception
from mljupyter.spec.names import SERVICE

if TYPE_CHECKING:
    from mljupyter.core.compute import ComputeTarget
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.model import Model
    from mljupyter.core.profile import ModelProfile
    from mljupyter.core.workspace import Workspace

_LONGEST_SECONDS = 20 * 60


class ProfiledModel:
    """What `Model` can do with a load."""

    @staticmethod
    def profile(
        workspace: Workspace,
        profile_name: str,
        models: Sequence[Model | str],
        inference_config: InferenceConfig,
        input_dataset: Any = None,
        cpu: float | None = None,
        memory_in_gb: float | None = None,
        description: str | None = None,
        *,
        input_data: str | Sequence[str] | None = None,
        seconds: float = 20.0,
        deployment_target: ComputeTarget | str | None = None,
    ) -> ModelProfile:
        """Measure how much CPU and memory models use under load, and which size suits them; returns at once.

        A temporary endpoint with one replica, named ``profile-...``, is sent the rows: first one at a time, each row at
        least once, then so many that it is never idle. It is deleted afterwards in any case. The script is stored
        before this returns: it may be changed meanwhile.

        Parameters:
            workspace: the workspace.
            profile_name: the profile's name: 3 to 32 lower-case letters, digits and '-'; a letter first, no '-' last.
            models, inference_config: as in `Model.deploy`.
            input_dataset: a data frame or dataset with one column of text: a request body in each row.
            input_data: instead, one request body or a list of them.
            cpu: cores that the replica may use, 0.1 to 3.5; by default 3.5.
            memory_in_gb: memory that it may use, 0.1 to 15; by default 15.
            description: free text.
            seconds: how long to send requests, up to 1200.
            deployment_target: where to; None for this machine.

        Raises:
            WebserviceException: when a value breaks a rule; what happens later is told by `wait_for_completion`.

        Example:
            >>> profile = Model.profile(ws, "diabetes", [model], inference_config,               # doctest: +SKIP
            ...                         input_data='{"data": [[1, 2, 3]]}')
            >>> profile.wait_for_completion(show_output=True)                                     # doctest: +SKIP
            >>> profile.get_details()["latencyPercentile99InMs"]                                  # doctest: +SKIP

        """
        from mljupyter.core.deployment import prepare_version, target_of
        from mljupyter.core.inference import InferenceConfig
        from mljupyter.core.profile import ModelProfile
        from mljupyter.core.profile_run import Order, temporary_name
        from mljupyter.deploy.profiling.input import bodies
        from mljupyter.engine.scaling.recommender import LEAST, MOST_CPU, MOST_MEMORY_GB
        from mljupyter.spec import EndpointKind

        with as_webservice_exception():
            SERVICE.check(profile_name)
        if not isinstance(inference_config, InferenceConfig):
            raise WebserviceException(
                f"inference_config is a {type(inference_config).__name__}: it must be an InferenceConfig."
            )
        rows = bodies(input_dataset, input_data)
        size = {
            "cpu": _within("cpu", cpu, LEAST, MOST_CPU, MOST_CPU),
            "memory_in_gb": _within("memory_in_gb", memory_in_gb, LEAST, MOST_MEMORY_GB, MOST_MEMORY_GB),
            "seconds": _within("seconds", seconds, 0.1, _LONGEST_SECONDS, 20.0),
        }
        endpoint, target = temporary_name(), target_of(workspace, deployment_target)
        with as_webservice_exception(), workspace.artifacts.hold():
            prepared = prepare_version(
                workspace, models, inference_config, kind=EndpointKind.AKS, service=endpoint, target=target
            )
        order = Order(profile_name, endpoint, prepared, rows, **size)
        return ModelProfile._start(workspace, order, description)


def _within(name: str, value: float | None, low: float, high: float, default: float) -> float:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise WebserviceException(f"{name} is {value!r}: it must be a number from {low:g} to {high:g}.")
    return float(value)
