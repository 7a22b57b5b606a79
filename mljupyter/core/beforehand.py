"""Make beforehand what a deployment needs where it runs, for whoever shows how that goes and lets it be stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mljupyter.spec import EndpointKind, ModelReference

if TYPE_CHECKING:
    from mljupyter.build.images.events import OnEvent, State
    from mljupyter.core.environment import Environment
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.model import Model
    from mljupyter.core.workspace import Workspace
    from mljupyter.targets.base import Target

ENVIRONMENT_STAGE = "environment"


def make_beforehand(
    workspace: Workspace,
    service: str,
    models: Sequence[Model | ModelReference | str],
    inference_config: InferenceConfig | None,
    *,
    kind: EndpointKind,
    target: Target,
    on_event: OnEvent,
    cancel: threading.Event,
) -> None:
    """Make what `Model.deploy` with the same arguments would make first, an image or an environment; it then finds it.

    Parameters:
        workspace, service, models, inference_config, kind, target: as in `Model.deploy`.
        on_event: gets stages and log lines as they happen.
        cancel: ends the build when set.

    Raises:
        MLJupyterError: `BuildCancelledError`, or why it cannot be made, with the last lines of the log.

    """
    from mljupyter.core.container_image import image_of, plan_for
    from mljupyter.core.deployment import content_of
    from mljupyter.core.environment_build import is_to_be_built

    with workspace.artifacts.hold():
        content, environment = content_of(
            workspace, models, inference_config, kind=kind, service=service, target=target
        )
        if target.runs_images and content.code is not None:
            plan = plan_for(content.code, content.models, environment)
            image_of(workspace, service, plan, on_event=on_event, cancel=cancel)
        elif not target.runs_images and environment is not None and is_to_be_built(environment):
            _build(environment, on_event, cancel)


def _build(environment: Environment, on_event: OnEvent, cancel: threading.Event) -> None:
    from mljupyter.build.images.events import BuildEvent
    from mljupyter.core.environment_build import built

    def report(state: State | None, text: str = "", seconds: float | None = None) -> None:
        on_event(BuildEvent(time.time(), ENVIRONMENT_STAGE, state, text, seconds))

    began = time.monotonic()
    report("running")
    built(environment, lambda line: report(None, line), cancel)
    report("succeeded", seconds=round(time.monotonic() - began, 3))
