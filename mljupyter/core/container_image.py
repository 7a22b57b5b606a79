"""The image that a container serves from: found again by its plan, or built of code, models and environment."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mljupyter.core.exceptions import WebserviceException
from mljupyter.spec import CodeReference, ModelReference

if TYPE_CHECKING:
    from mljupyter.build.images import BuildEvent
    from mljupyter.core.environment import Environment
    from mljupyter.core.workspace import Workspace

BASE_IMAGE_VARIABLE = "MLJUPYTER_BASE_IMAGE"


def image_for(
    workspace: Workspace,
    service: str,
    *,
    code: CodeReference,
    models: Sequence[ModelReference],
    environment: Environment | None,
    build: bool = True,
    show_output: bool = False,
) -> str:
    """Return the reference of an image on the Docker engine that serves this code and these models.

    An environment without a base image of its own is built on the one that ``MLJUPYTER_BASE_IMAGE`` names, else on
    Python's own.

    Parameters:
        workspace: the workspace; the image is registered there under the service's name.
        service: name of the web service.
        code, models: what the image holds.
        environment: what the scoring script needs.
        build: False to say what the image would be called, without building it.
        show_output: print the log of the build.

    Raises:
        WebserviceException: when there is no environment.
        MLJupyterError: when there is no Docker engine, or the build fails; with its last lines and a hint.

    """
    from mljupyter.build.images import build_or_reuse, builder_for, plan_image

    if environment is None:
        raise WebserviceException(
            "A container needs an environment: what this notebook has installed is not in it.\n"
            "Give InferenceConfig(..., environment=Environment.from_pip_requirements('serving', 'requirements.txt')),\n"
            "or environment=Environment.from_current() for the same packages as here."
        )
    plan = plan_image(
        environment.definition(),
        code=code,
        models=models,
        default_base_image=os.environ.get(BASE_IMAGE_VARIABLE),
    )
    if not build:
        found = workspace.registry.images.find_built(plan.digest, "docker")
        return found.location if found is not None and found.location else f"mljupyter/{service}:{plan.digest[7:19]}"
    builder = builder_for("docker", workspace.artifacts, plan=plan)
    record = build_or_reuse(workspace.registry, plan, builder, service, on_event=_print if show_output else None)
    if record.location is None:
        raise WebserviceException(f"Image {record.id} has no location: its state is {record.creation_state}.")
    return record.location


def _print(event: BuildEvent) -> None:
    if event.state is None:
        print(event.text)
    elif event.seconds is not None:
        print(f"{event.stage}: {event.state}")
