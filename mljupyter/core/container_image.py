"""The image that a web service's containers serve from: found again by its plan, or built of what is deployed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mljupyter.core.environment_build import policy_of
from mljupyter.core.garbage import MADE_FOR
from mljupyter.core.image.building import ENGINE, default_base_image, print_event
from mljupyter.core.image.presence import make_present
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import CodeReference, ModelReference

if TYPE_CHECKING:
    from mljupyter.build.images import ImagePlan
    from mljupyter.build.images.events import OnEvent
    from mljupyter.core.environment import Environment
    from mljupyter.core.workspace import Workspace
    from mljupyter.registry.catalog.image_record import ImageRecord


@dataclass(frozen=True)
class ServedImage:
    """An image on the Docker engine: what a container is started from, and its id in the registry of images.

    The id is None where the image is not built yet.
    """

    reference: str
    id: str | None


def image_for(
    workspace: Workspace,
    service: str,
    *,
    code: CodeReference,
    models: Sequence[ModelReference],
    environment: Environment | None,
    build: bool = True,
    show_output: bool = False,
) -> ServedImage:
    """Return an image on the Docker engine that serves this code and these models.

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
    plan = plan_for(code, models, environment)
    if not build:
        found = workspace.registry.images.find_built(plan.digest, ENGINE)
        if found is not None and found.location:
            return ServedImage(found.location, found.id)
        return ServedImage(f"mljupyter/{service}:{plan.digest[7:19]}", None)
    return image_of(workspace, service, plan, show_output=show_output)


def plan_for(code: CodeReference, models: Sequence[ModelReference], environment: Environment | None) -> ImagePlan:
    """Return the plan of the image that `image_for` returns.

    Raises:
        WebserviceException: when there is no environment.

    """
    from mljupyter.build.images import plan_image

    if environment is None:
        raise WebserviceException(
            "A container needs an environment: what this notebook has installed is not in it.\n"
            "Give InferenceConfig(..., environment=Environment.from_pip_requirements('serving', 'requirements.txt')),\n"
            "or environment=Environment.from_current() for the same packages as here."
        )
    return plan_image(
        environment.definition(),
        code=code,
        models=models,
        default_base_image=default_base_image(),
        pins=policy_of(environment),
    )


def image_with_code(workspace: Workspace, service: str, image_id: str, code: CodeReference) -> ServedImage:
    """Return an image that differs from another one in its code alone.

    Parameters:
        workspace: the workspace.
        service: the name that it is registered under.
        image_id: the other one.
        code: what is to be in it.

    Raises:
        MLJupyterError: as `image_for`.

    """
    from mljupyter.build.images import plan_of

    recipe = workspace.registry.images.get_by_id(image_id).recipe
    return image_of(workspace, service, plan_of({**recipe, "code": code.document()}))


def image_of(
    workspace: Workspace,
    service: str,
    plan: ImagePlan,
    *,
    show_output: bool = False,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
) -> ServedImage:
    """Return the image of a plan on the Docker engine: the service's newest one if it is that, else another version."""
    from mljupyter.build.images import build_or_reuse, builder_for, relaxations

    on_event = on_event or (print_event if show_output else None)
    record = _newest(workspace, service)
    if record is None or (record.plan_digest, record.place, record.creation_state) != (
        plan.digest,
        ENGINE,
        "Succeeded",
    ):
        builder = builder_for(ENGINE, workspace.artifacts, plan=plan)
        record = build_or_reuse(
            workspace.registry,
            plan,
            builder,
            service,
            on_event=on_event,
            properties={MADE_FOR: service},
            cancel=cancel,
        )
        if on_event is None:  # else it is in the log
            for change in relaxations(record):
                print(f"Image {record.id}: {change}")
    return ServedImage(make_present(workspace, record, on_event), record.id)


def _newest(workspace: Workspace, name: str) -> ImageRecord | None:
    from mljupyter.registry.image_errors import ImageNotFoundError

    try:
        return workspace.registry.images.get(name)
    except ImageNotFoundError:
        return None
