"""Build of an image in the background, or reuse of one with the same plan. Its log can be read during the build."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mljupyter.build.images import Builder, BuildEvent, BuiltImage, ImagePlan, begin_image, builder_for, finish_image
from mljupyter.build.images.events import OnEvent
from mljupyter.deploy.images.files import BuildLogFile
from mljupyter.exceptions import WebserviceException
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.visible import visible
from mljupyter.workspace.context import WorkspaceContext

if TYPE_CHECKING:
    from mljupyter.targets.base import Target

BASE_IMAGE_VARIABLE = "MLJUPYTER_BASE_IMAGE"
REGISTRY_VARIABLE = "MLJUPYTER_CONTAINER_REGISTRY"
ENGINE = "docker"

_builds: dict[tuple[str, str], Build] = {}


class Build:
    """A build that runs in this process; `error` is set after a failure."""

    def __init__(self, name: str, make: Callable[[threading.Event], object]) -> None:
        self.error: Exception | None = None
        self._cancel = threading.Event()
        self._make = make
        # Not a daemon thread: a script that ends right after `create` waits for the build.
        self._thread = threading.Thread(target=self._run, name=f"build-{name}")
        self._thread.start()

    def cancel(self) -> None:
        """Stop the build and remove its intermediate results."""
        self._cancel.set()

    def has_ended(self, within: float | None = 0) -> bool:
        """Wait until the build has ended, and return whether it has.

        Parameters:
            seconds: the maximum time to wait; None for no limit.

        """
        self._thread.join(within)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._make(self._cancel)
        except Exception as error:  # noqa: BLE001 - raised where the build is waited for
            self.error = error


def default_base_image() -> str | None:
    """Return the base image for environments without one; None for the official Python image."""
    return os.environ.get(BASE_IMAGE_VARIABLE)


def place_of(context: WorkspaceContext) -> str:
    """Return the location of a workspace's images: its container registry if it has one, else the Docker engine."""
    host = registry_of(context)
    return f"registry/{host}" if host else ENGINE


def place_for(context: WorkspaceContext, target: Target) -> str:
    """Return the location of the images that a compute target runs: ``docker`` or ``registry/HOST``."""
    return target.image_place(registry_of(context))


def registry_of(context: WorkspaceContext) -> str | None:
    """Return the host of a workspace's container registry; None if its images stay on the Docker engine."""
    return os.environ.get(REGISTRY_VARIABLE) or context.container_registry


def begin(
    context: WorkspaceContext,
    plan: ImagePlan,
    name: str,
    *,
    place: str | None = None,
    rebuild: bool = False,
    **described: Any,
) -> ImageRecord:
    """Register the next version of an image and start to build it; return at once.

    An image with the same plan is reused within this call, without a request to an engine.

    Parameters:
        context: the workspace.
        plan: the plan of the image.
        name: the image's name.
        place: ``docker`` or ``registry/<host>``; the default is that of the workspace.
        rebuild: build it even if it exists.
        **described: description, tags, properties, image_flavor.

    Raises:
        MLJupyterError: no builder is available for it, or a value breaks a rule.

    """
    builder = _BuilderOnDemand(context, plan, place or place_of(context))
    reused = not rebuild and context.registry.images.find_built(plan.digest, builder.place) is not None
    if not reused:
        builder.connected  # noqa: B018 - without any, nothing is to be noted
    record = begin_image(context.registry, plan, name, builder.place, **described)
    if reused:
        return finish_image(context.registry, record, plan, builder)
    log = BuildLogFile.of(context, record)
    log.begin()

    def make(cancel: threading.Event) -> None:
        with contextlib.closing(log):
            finish_image(context.registry, record, plan, builder, on_event=log.write, cancel=cancel, rebuild=rebuild)

    _builds[_key(context, record.id)] = Build(record.id, make)
    return record


def build_of(context: WorkspaceContext, image_id: str) -> Build | None:
    """Return the build of an image if it runs or ran in this process, else None."""
    return _builds.get(_key(context, image_id))


def _key(context: WorkspaceContext, image_id: str) -> tuple[str, str]:
    return str(context.directory), image_id


def failure(record: ImageRecord) -> WebserviceException:
    """Return the error for an image whose build failed: step, reason, last lines and hint."""
    return WebserviceException(f"Image {record.id} is {record.creation_state}.\n{failure_text(record)}".rstrip())


def failure_text(record: ImageRecord) -> str:
    """Return the reason why the build of an image failed; empty if it succeeded."""
    said: Mapping[str, Any] = record.error or {}
    lines = [f"Step {said['step']!r}: {said.get('reason')}"] if said.get("step") else []
    lines += [f"    {line}" for line in said.get("lastLines") or ()]
    lines += [f"Hint: {said['hint']}"] if said.get("hint") else []
    return "\n".join(lines)


class _BuilderOnDemand:
    """The builder for a place, which connects when it is first used."""

    def __init__(self, context: WorkspaceContext, plan: ImagePlan, place: str) -> None:
        self._context = context
        self._plan = plan
        self.place = place

    @cached_property
    def connected(self) -> Builder:
        return builder_for(self.place, self._context.artifacts, plan=self._plan)

    def find(self, plan: ImagePlan) -> BuiltImage | None:
        return self.connected.find(plan)

    def build(
        self, plan: ImagePlan, *, tag: str, on_event: OnEvent | None = None, cancel: threading.Event | None = None
    ) -> BuiltImage:
        return self.connected.build(plan, tag=tag, on_event=on_event, cancel=cancel)

    def remove(self, reference: str) -> None:
        self.connected.remove(reference)


def print_event(event: BuildEvent) -> None:
    """Print an event of a build."""
    if event.state is None:
        print(visible(event.text))
    elif event.seconds is not None:
        print(f"{event.stage}: {event.state}")
