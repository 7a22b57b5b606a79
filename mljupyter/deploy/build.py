"""`build`: build the images and environments of a deployment plan, or reuse existing ones."""

from __future__ import annotations

import threading
from dataclasses import replace

from mljupyter.build.images.errors import BuildFailedError
from mljupyter.build.images.events import OnEvent
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.environments import ensure_with_events, interpreter_of
from mljupyter.deploy.images.build_job import place_for
from mljupyter.deploy.images.served_image import image_of, plan_for
from mljupyter.deploy.model_delivery import deliver, models_in_image
from mljupyter.deploy.plan import DeploymentPlan
from mljupyter.deploy.prepare import Prepared
from mljupyter.workspace.context import WorkspaceContext


def build(
    context: WorkspaceContext,
    plan: DeploymentPlan,
    *,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    show_output: bool = False,
) -> DeploymentPlan:
    """Build everything that a plan needs, and return the plan with nothing left to build.

    Parameters:
        context: the workspace.
        plan: the plan.
        on_event: called with stages and log lines, from any thread.
        cancel: set it from another thread to end the build.
        show_output: without `on_event`, print the whole log; by default a line for each build and each changed pin.

    Raises:
        MLJupyterError: `BuildCancelledError`, or the build failed, with its last log lines and a hint.

    """
    built = {
        name: build_version(context, prepared, on_event=on_event, cancel=cancel, show_output=show_output)
        for name, prepared in plan.prepared.items()
    }
    return plan.with_built(built)


def build_version(
    context: WorkspaceContext,
    prepared: Prepared,
    *,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    show_output: bool = False,
) -> VersionContent:
    """Build one version, and return its content; parameters as for `build`."""
    content, environment = prepared.content, prepared.environment
    if prepared.is_ready:
        return content
    if not prepared.target.runs_images:
        if environment is not None and environment.has_image and not environment.is_user_managed:
            print(f"Without effect on target {prepared.target.name!r}: the image of environment {environment.name!r}")
        if on_event is not None and environment is not None and environment.must_be_built:
            return replace(content, interpreter=ensure_with_events(environment, on_event, cancel))
        return replace(content, interpreter=interpreter_of(environment, show_output=show_output))
    if content.code is None:
        return content
    deliver(context, content, prepared.target, show_output=show_output, on_event=on_event, cancel=cancel)
    plan = plan_for(content.code, models_in_image(content), environment)
    try:
        image = image_of(
            context,
            prepared.service,
            plan,
            place=place_for(context, prepared.target),
            show_output=show_output,
            on_event=on_event,
            cancel=cancel,
        )
    except BuildFailedError as error:
        if environment is None or environment.file is None:
            raise
        raise error.in_file(environment.file) from error.__cause__
    prepared.target.check_image(image.reference)
    return replace(content, image=image.reference, image_id=image.id)
