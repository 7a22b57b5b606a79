"""Create images: reuse an image of the same plan or build one, and record each in the registry of images."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.build.environments.local_files import store_file
from mljupyter.build.environments.record import ChangeRecord
from mljupyter.build.environments.requirements import Change
from mljupyter.build.images.builder import Builder, BuiltImage
from mljupyter.build.images.errors import BuildCancelledError, ImageError
from mljupyter.build.images.events import BuildLog, OnEvent
from mljupyter.build.images.oci.sbom import bill_of_materials
from mljupyter.build.images.plan.base_context import GIT
from mljupyter.build.images.plan.dockerfile import dockerfile
from mljupyter.build.images.plan.plan import ImagePlan
from mljupyter.build.images.registry.references import reference_for
from mljupyter.errors import MLJupyterError
from mljupyter.registry.errors import ArtifactError

if TYPE_CHECKING:
    from mljupyter.registry.catalog.image_record import ImageRecord
    from mljupyter.registry.registry import Registry

#: Property of images with relaxed pins: the pins, their replacements and the reasons, as JSON.
RELAXED = "mljupyter.relaxed"


def begin_image(
    registry: Registry,
    plan: ImagePlan,
    name: str,
    place: str,
    *,
    description: str | None = None,
    tags: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    image_flavor: str = "WebApiContainer",
) -> ImageRecord:
    """Record the next version of the image `name` as Running and return at once. `finish_image` builds it.

    Raises as `ImageRegistry.begin` does.
    """
    content = [file.digest for file in plan.content()]
    if plan.base_context is not None and plan.base_context.location_type != GIT and plan.base_context.location:
        content.append(plan.base_context.location)
    content += store_local_files(registry, plan)
    return registry.images.begin(
        name,
        plan_digest=plan.digest,
        place=place,
        recipe=plan.recipe,
        content_digests=content,
        model_ids=[model.id for model in plan.models if model.version],
        description=description,
        tags=tags,
        properties=properties,
        image_flavor=image_flavor,
    )


def store_local_files(registry: Registry, plan: ImagePlan) -> list[str]:
    """Put the files of this machine that the packages of a plan are made of into the artifact store.

    Parameters:
        registry: the registry of the workspace.
        plan: the plan.

    Returns:
        Their digests.

    Raises:
        RequirementError: a file is gone or has changed since the plan was made.

    """
    with registry.artifacts.hold():
        for file in plan.packages.files:
            store_file(file, registry.artifacts)
    return [file.digest for file in plan.packages.files]


def finish_image(
    registry: Registry,
    record: ImageRecord,
    plan: ImagePlan,
    builder: Builder,
    *,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    rebuild: bool = False,
) -> ImageRecord:
    """Finish a Running image and return its record: reuse an image of the same plan in that place, else build one.

    The registry of images is searched first, which needs no engine; then the engine is searched by label.

    Parameters:
        registry: the registry of the workspace.
        record: the record from `begin_image`.
        plan: the plan that `begin_image` was given.
        builder: the builder for the record's place.
        on_event: gets stages and log lines as they happen.
        cancel: an event that stops the build when set.
        rebuild: build in any case, for an image that was removed from its place.

    Raises `BuildFailedError` or `BuildCancelledError`; the record then says so, and keeps the log.
    """
    if plan.digest != record.plan_digest:
        raise ImageError(f"{record.id} was begun for another plan: give the plan that `begin_image` got.")
    known = None if rebuild else registry.images.find_built(plan.digest, record.place)
    if known is not None and known.location and known.digest:
        return registry.images.succeed(
            record.id,
            location=known.location,
            digest=known.digest,
            log_digest=known.log_digest,
            sbom_digest=known.sbom_digest,
            dockerfile_digest=known.dockerfile_digest,
            stages=known.stages,
            properties={name: known.properties[name] for name in (RELAXED,) if name in known.properties},
        )
    host = record.place.partition("registry/")[2] or None
    tag = reference_for(record.name, record.version, plan.digest, host)
    try:
        image = None if rebuild else builder.find(plan)
        if image is None:
            image = builder.build(plan, tag=tag, on_event=on_event, cancel=cancel)
        return _succeeded(registry, record, plan, image)
    except BaseException as error:
        _failed(registry, record, error)
        raise


def build_or_reuse(
    registry: Registry,
    plan: ImagePlan,
    builder: Builder,
    name: str,
    *,
    on_event: OnEvent | None = None,
    cancel: threading.Event | None = None,
    rebuild: bool = False,
    **described: Any,
) -> ImageRecord:
    """Create the next version of the image `name` and wait for it; see `begin_image` and `finish_image`."""
    record = begin_image(registry, plan, name, builder.place, **described)
    return finish_image(registry, record, plan, builder, on_event=on_event, cancel=cancel, rebuild=rebuild)


def delete_image(registry: Registry, image_id: str, remover: Callable[[], Builder] | None = None) -> None:
    """Delete an image from the registry of images, and with a builder also from its place.

    `remover` returns the builder; it is called only if there is something to remove. The user's own image stays in its
    place, and so does one that another version shares. Raises `ImageInUseError` while something uses the image, and
    the errors of the builder; then the record stays.
    """
    record = registry.images.removable(image_id)
    if record is not None and remover is not None and record.location and not record.recipe.get("ownImage"):
        # The builder first: if its engine is not available, the record must stay, or the image would never be removed.
        remover().remove(record.location)
    registry.images.delete(image_id)


def relaxations(record: ImageRecord) -> tuple[Change, ...]:
    """Return the pins that were relaxed in an image, with replacements and reasons."""
    documents = json.loads(record.properties.get(RELAXED, "[]"))
    return tuple(ChangeRecord.parse(document).change() for document in documents)


def relaxed_before(registry: Registry, record: ImageRecord) -> bool:
    """Return whether another image of the workspace has the same relaxed pins, so that they were told before."""
    relaxed = record.properties.get(RELAXED)
    others = registry.images.list() if relaxed else []
    return any(other.id != record.id and other.properties.get(RELAXED) == relaxed for other in others)


def stored_text(registry: Registry, digest: str | None) -> str:
    """Return a text that is stored with an image, such as its log; empty when there is none."""
    if digest is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="mljupyter-image-") as temporary:
        return registry.artifacts.fetch(digest, Path(temporary) / "content").read_text(encoding="utf-8")


def _succeeded(registry: Registry, record: ImageRecord, plan: ImagePlan, image: BuiltImage) -> ImageRecord:
    texts = {"sbom.json": bill_of_materials(plan, image)}
    if plan.own_image is None:
        texts["Dockerfile"] = dockerfile(plan).encode()
    if image.log is not None:
        texts["build.log"] = image.log.text().encode()
    with registry.artifacts.hold():
        stored = _stored(registry, texts)
        return registry.images.succeed(
            record.id,
            location=image.reference,
            digest=image.digest,
            log_digest=stored.get("build.log"),
            sbom_digest=stored.get("sbom.json"),
            dockerfile_digest=stored.get("Dockerfile"),
            stages=image.log.stages if image.log is not None else {},
            properties={RELAXED: image.relaxed} if image.relaxed else {},
        )


def _failed(registry: Registry, record: ImageRecord, error: BaseException) -> None:
    """Record a failure. An error while recording must not hide the failure itself."""
    log: BuildLog | None = getattr(error, "build_log", None)
    cancelled = isinstance(error, BuildCancelledError | KeyboardInterrupt)
    said = {
        "step": getattr(error, "step", None) or (log.current_stage if log else "build"),
        "reason": getattr(error, "reason", None) or str(error).partition("\n")[0] or type(error).__name__,
        "lastLines": list(getattr(error, "last_lines", ())),
        "hint": getattr(error, "hint", None),
    }
    try:
        with registry.artifacts.hold():
            stored = _stored(registry, {"build.log": log.text().encode()}) if log is not None else {}
            registry.images.fail(
                record.id,
                said,
                cancelled=cancelled,
                log_digest=stored.get("build.log"),
                stages=log.stages if log is not None else {},
            )
    except (MLJupyterError, ArtifactError, OSError) as second:
        error.add_note(f"The failure could not be recorded in the registry of images: {second}")


def _stored(registry: Registry, texts: Mapping[str, bytes]) -> dict[str, str]:
    stored = {}
    with tempfile.TemporaryDirectory(prefix="mljupyter-image-") as temporary:
        for name, content in texts.items():
            path = Path(temporary) / name
            path.write_bytes(content)
            stored[name] = registry.artifacts.put(path).digest
    return stored
