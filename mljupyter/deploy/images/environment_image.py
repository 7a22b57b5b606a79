"""Images of environments without models and scoring script: build and describe them."""

from __future__ import annotations

from typing import Any

from mljupyter.build.environments.definition import EnvironmentDefinition
from mljupyter.build.images import ImagePlan, Reference, dockerfile, plan_image, reference_for
from mljupyter.build.images.plan import layout
from mljupyter.deploy.environments import policy_of
from mljupyter.deploy.images import build_job
from mljupyter.registry.catalog.image_record import ENVIRONMENT_FLAVOR, ImageRecord
from mljupyter.workspace.context import WorkspaceContext

_DIGITS = 12


def begin(
    context: WorkspaceContext, definition: EnvironmentDefinition, *, on_engine: bool = False, rebuild: bool = True
) -> ImageRecord:
    """Start the build of an environment's image; return at once.

    Parameters:
        context: the workspace that the image belongs to.
        definition: the environment.
        on_engine: build it on the Docker engine even if the workspace has a container registry.
        rebuild: build it even if it was built before.

    """
    plan = _plan(definition)
    return build_job.begin(
        context,
        plan,
        _name(plan),
        place=build_job.ENGINE if on_engine else None,
        rebuild=rebuild,
        image_flavor=ENVIRONMENT_FLAVOR,
    )


def details(context: WorkspaceContext, definition: EnvironmentDefinition) -> dict[str, Any]:
    """Return the details of an environment's image, built or not, with the keys of azureml's DockerImageDetails."""
    # Imports all builders, which few calls need.

    plan = _plan(definition)
    place = build_job.place_of(context)
    found = _built(context, plan, place)
    host = place.partition("registry/")[2] or None
    reference = Reference.parse(
        found.location if found is not None and found.location else reference_for(_name(plan), 1, plan.digest, host)
    )
    return {
        "imageExistsInRegistry": found is not None,
        "dockerImage": {
            "name": reference.repository,
            "registry": {"address": reference.registry},
            "image": None if found is None else found.location,
        },
        "pythonEnvironment": {
            "interpreterPath": f"{layout.ENVIRONMENT}/bin/python",
            "condaEnvironmentPath": layout.ENVIRONMENT,
        },
        "ingredients": {"dockerfile": dockerfile(plan)},
    }


def _plan(definition: EnvironmentDefinition) -> ImagePlan:
    return plan_image(
        definition,
        code=None,
        environment_only=True,
        default_base_image=build_job.default_base_image(),
        pins=policy_of(definition),
    )


def _built(context: WorkspaceContext, plan: ImagePlan, place: str) -> ImageRecord | None:
    images = context.registry.images
    return images.find_built(plan.digest, place) or images.find_built(plan.digest, build_job.ENGINE)


def _name(plan: ImagePlan) -> str:
    return f"environment-{plan.environment[:_DIGITS]}"
