"""Delivery of models to the replicas of a version: in its image, or fetched from the container registry."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

from mljupyter.build.images.events import OnEvent
from mljupyter.build.images.oci.model_artifacts import push_models
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.images.build_job import place_for, print_event, registry_of
from mljupyter.engine.model_delivery import MOST_MOUNTED_FILES, chosen_delivery, space_of
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import ModelReference
from mljupyter.spec.version import ModelDelivery
from mljupyter.targets.base import Target
from mljupyter.workspace.context import WorkspaceContext

ARGUMENT = "model_delivery"


def with_delivery(
    context: WorkspaceContext, content: VersionContent, target: Target, asked: ModelDelivery | None
) -> VersionContent:
    """Return the content of a version with the way on which its models reach replicas.

    Parameters:
        context: the workspace.
        content: the content; its models are stored.
        target: the compute target.
        asked: the wish of the user; None for the default, by size.

    Raises:
        WebserviceException: models cannot be mounted as asked.

    """
    if not target.mounts_models:
        if asked == "mount" and ARGUMENT not in target.ignored_arguments:
            raise WebserviceException(
                f"model_delivery is 'mount': compute target {target.name!r} mounts no models. Leave it out."
            )
        return content
    if not content.models:
        return content
    files = [_files(context, model) for model in content.models]
    most = max(len(sizes) for sizes in files)
    can_mount = registry_of(context) is not None
    delivery = chosen_delivery(
        asked,
        size=sum(sum(sizes) for sizes in files),
        most_files=most,
        can_mount=can_mount and content.code is not None,
    )
    if delivery == "bake":
        return replace(content, model_delivery=asked)
    if not can_mount:
        raise WebserviceException(
            "model_delivery is 'mount': models are then fetched from the workspace's container registry, and it has "
            "none.\nGive one that the pods reach: Workspace.create(..., container_registry='HOST:PORT') or "
            "MLJUPYTER_CONTAINER_REGISTRY=HOST:PORT, or leave model_delivery out."
        )
    if most > MOST_MOUNTED_FILES:
        raise WebserviceException(
            f"model_delivery is 'mount': a model has {most:,} files. Rule: at most {MOST_MOUNTED_FILES:,} in a model "
            "that is mounted. Pack them into one archive, or give model_delivery='bake'."
        )
    return replace(content, model_delivery="mount", model_bytes=sum(space_of(sizes) for sizes in files))


def deliver(
    context: WorkspaceContext,
    content: VersionContent,
    target: Target,
    *,
    show_output: bool = False,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
) -> None:
    """Upload the models of a version that are mounted, without those that the container registry has.

    Parameters: as for `mljupyter.deploy.build.build`.

    Raises:
        RegistryError, BuildCancelledError: the registry cannot be reached or refuses it; it was cancelled.

    """
    if content.model_delivery == "mount":
        host = place_for(context, target).partition("registry/")[2]
        on_event = on_event or (print_event if show_output else None)
        push_models(host, content.models, context.artifacts, on_event=on_event, cancel=cancel)


def models_in_image(content: VersionContent) -> Sequence[ModelReference]:
    """Return the models that are part of the image of a version."""
    return () if content.model_delivery == "mount" else content.models


def refuse_mount(asked: ModelDelivery | None, target: Target, why: str) -> None:
    """Refuse to mount models, or to deliver them in another way, where nothing is built.

    Parameters:
        asked: the wish of the user.
        target: the compute target; one that ignores the argument refuses nothing.
        why: the reason, with the way out.

    Raises:
        WebserviceException: a wish was given.

    """
    if asked is not None and target.mounts_models:
        raise WebserviceException(f"model_delivery is {asked!r}: {why}")


def _files(context: WorkspaceContext, model: ModelReference) -> list[int]:
    """Return the sizes of the files of a model."""
    entries = context.artifacts.entries(model.digest)
    return [context.artifacts.size(model.digest)] if entries is None else [entry.size for entry in entries]
