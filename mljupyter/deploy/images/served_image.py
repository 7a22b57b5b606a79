"""Image of a web service's containers: reused if one has the same plan, otherwise built."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from mljupyter.build.images import (
    ImagePlan,
    build_or_reuse,
    builder_for,
    plan_image,
    plan_of,
    relaxations,
    relaxed_before,
)
from mljupyter.build.images.events import BuildEvent, OnEvent
from mljupyter.deploy.environments import ServingEnvironment, policy_of
from mljupyter.deploy.images.build_job import ENGINE, default_base_image, print_event
from mljupyter.deploy.images.registered_image import make_present
from mljupyter.exceptions import WebserviceException
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.registry.errors import ImageNotFoundError
from mljupyter.spec import CodeReference, ModelReference
from mljupyter.workspace.context import WorkspaceContext

MADE_FOR = "mljupyter.madeFor"
"""The property of an image that names the service it was built for: such images are removed when unused."""


@dataclass(frozen=True)
class ServedImage:
    """An image on the Docker engine or in a container registry: its reference, and its id in the registry of images.

    The id is None if the image is not built yet.
    """

    reference: str
    id: str | None


def expected_image(context: WorkspaceContext, service: str, plan: ImagePlan, place: str = ENGINE) -> ServedImage:
    """Return the existing image of a plan, or the reference that it will get. Builds nothing.

    Parameters:
        context: the workspace.
        service: name of the web service.
        plan: the plan of the image.
        place: ``docker``, or ``registry/HOST``.

    """
    found = context.registry.images.find_built(plan.digest, place)
    if found is not None and found.location:
        return ServedImage(found.location, found.id)
    host = place.partition("registry/")[2]
    return ServedImage(f"{host}/mljupyter/{service}:{plan.digest[7:19]}".lstrip("/"), None)


def plan_for(
    code: CodeReference, models: Sequence[ModelReference], environment: ServingEnvironment | None
) -> ImagePlan:
    """Return the plan of an image with this code, these models and this environment.

    The default base image is that of ``MLJUPYTER_BASE_IMAGE``, otherwise the official Python image.

    Raises:
        WebserviceException: there is no environment.

    """
    if environment is None:
        raise WebserviceException(
            "A container needs an environment: what this notebook has installed is not in it.\n"
            "Give InferenceConfig(..., environment=Environment.from_pip_requirements('serving', 'requirements.txt')),\n"
            "or environment=Environment.from_current() for the same packages as here."
        )
    return plan_image(
        environment.definition,
        code=code,
        models=models,
        default_base_image=default_base_image(),
        pins=policy_of(environment.definition),
    )


def image_with_code(context: WorkspaceContext, service: str, image_id: str, code: CodeReference) -> ServedImage:
    """Return an image that differs from another one only in its code.

    Parameters:
        context: the workspace.
        service: the name under which it is registered.
        image_id: the other image.
        code: the new code.

    Raises:
        MLJupyterError: there is no Docker engine, or the build failed, with its last lines and a hint.

    """
    recipe = context.registry.images.get_by_id(image_id).recipe
    return image_of(context, service, plan_of({**recipe, "code": code.document()}))


def image_of(
    context: WorkspaceContext,
    service: str,
    plan: ImagePlan,
    *,
    place: str = ENGINE,
    show_output: bool = False,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
) -> ServedImage:
    """Return the image of a plan in a place, the Docker engine by default: the newest one, or a new version."""
    on_event = on_event or (print_event if show_output else None)
    record = _newest(context, service)
    if record is None or (record.plan_digest, record.place, record.creation_state) != (
        plan.digest,
        place,
        "Succeeded",
    ):
        builder = builder_for(place, context.artifacts, plan=plan)
        record = build_or_reuse(
            context.registry,
            plan,
            builder,
            service,
            on_event=on_event,
            properties={MADE_FOR: service},
            cancel=cancel,
        )
        if not relaxed_before(context.registry, record):
            for change in relaxations(record):
                line = f"Warning: image {record.id}: {change}"
                (on_event or print_event)(BuildEvent(time.time(), "contents", None, line, warning=True))
    if place != ENGINE and record.location is not None:
        return ServedImage(record.location, record.id)
    return ServedImage(make_present(context, record, on_event), record.id)


def _newest(context: WorkspaceContext, name: str) -> ImageRecord | None:
    try:
        return context.registry.images.get(name)
    except ImageNotFoundError:
        return None
