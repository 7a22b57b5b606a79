"""Garbage collection: removes unused content, environments, images, and files of ended replicas.

Everything that an endpoint or a registered item uses is kept, and everything created within the last hour, because it
may be about to be registered.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mljupyter.build.environments.unused import remove_environment, unused_environments
from mljupyter.build.images.docker import engine
from mljupyter.build.images.docker.dangling import leftovers, remove_leftover
from mljupyter.build.images.errors import ImageError
from mljupyter.controller.layout import Layout
from mljupyter.controller.offline import NeededVersion, needed_versions
from mljupyter.deploy.environments import environments_directory
from mljupyter.deploy.images.served_image import MADE_FOR
from mljupyter.deploy.images.users import delete_unused_image, users_of_image
from mljupyter.deploy.references import renew_content
from mljupyter.errors import MLJupyterError
from mljupyter.registry.catalog.image_record import ImageRecord
from mljupyter.runtimes.base import RuntimeUnavailableError
from mljupyter.runtimes.docker import network
from mljupyter.runtimes.docker.container_spec import connect, translated
from mljupyter.runtimes.process import processes
from mljupyter.runtimes.process.finished_revisions import RevisionName, finished_revisions, remove
from mljupyter.workspace import index
from mljupyter.workspace.context import WorkspaceContext

KEEP_SECONDS = 3600.0
UNUSED_DAYS = 30.0
_DAY_SECONDS = 86_400.0

#: Property of images that deploying has made; nobody but a web service has asked for them.


@dataclass(frozen=True)
class Collected:
    """The items of one kind that were removed, or would be.

    Parameters:
        kind: artifacts, environments, images, networks or revisions.
        count: their number.
        size: freed bytes, if known.
        names: their names, if they have names.
        problem: the reason why some or all of them were kept.

    """

    kind: str
    count: int
    size: int = 0
    names: tuple[str, ...] = ()
    problem: str | None = None


def collect_garbage(
    context: WorkspaceContext, *, unused_days: float = UNUSED_DAYS, dry_run: bool = False
) -> Sequence[Collected]:
    """Remove everything that is unused; return the removed items by kind.

    Images are removed before artifacts, because images refer to artifacts.

    Parameters:
        context: the workspace. Environments are shared by all workspaces of this user; those in use by other workspaces
            are kept.
        unused_days: age in days since the last use from which on environments and failed images are removed.
        dry_run: only return the items.

    Raises:
        MLJupyterError: the needs of endpoints cannot be read; then nothing is removed.

    """
    needed = needed_versions(context.directory)
    unused_seconds = max(unused_days * _DAY_SECONDS, KEEP_SECONDS)
    return [
        _images(context, needed, unused_seconds, dry_run),
        _networks(dry_run),
        _revisions(context, needed, dry_run),
        _artifacts(context, dry_run),
        _environments(context, unused_seconds, dry_run),
    ]


def _artifacts(context: WorkspaceContext, dry_run: bool) -> Collected:
    def referenced() -> set[str]:
        # Read under the store's lock, so that all deployments until now are included.
        deployed = (version.digests for version in needed_versions(context.directory))
        return context.tracking.digests().union(*deployed)

    renew_content(context)
    swept = context.registry.sweep(referenced, keep_seconds=KEEP_SECONDS, dry_run=dry_run)
    return Collected("artifacts", swept.blobs, swept.size)


def _revisions(context: WorkspaceContext, needed: Sequence[NeededVersion], dry_run: bool) -> Collected:
    layout = Layout.of(context.directory)
    found = finished_revisions(
        layout.replicas,
        layout.revisions,
        needed=[RevisionName(version.endpoint, version.version, version.revision) for version in needed],
        keep_seconds=KEEP_SECONDS,
    )
    if not dry_run:
        remove(found)
    return Collected("revisions", len(found), names=tuple(directory.name for directory in found))


def _environments(context: WorkspaceContext, unused_seconds: float, dry_run: bool) -> Collected:
    try:
        interpreters = _interpreters_of_all(context)
    except Exception as error:  # noqa: BLE001 - whatever it is: without knowing what is needed nothing is removed
        return Collected("environments", 0, problem=f"what other workspaces need cannot be read: {error}")
    found = unused_environments(environments_directory(), unused_seconds=unused_seconds, in_use=interpreters)
    removed = found if dry_run else [one for one in found if remove_environment(one)]
    size = sum(one.size for one in removed)
    return Collected("environments", len(removed), size, tuple(one.directory.name for one in removed))


def _interpreters_of_all(context: WorkspaceContext) -> set[str]:
    """Return the interpreters of endpoints in all workspaces of this user, and all arguments of processes."""
    import sys

    directories = index.directories() | {context.directory.resolve()}
    interpreters = {
        version.spec.interpreter or "" for directory in directories for version in needed_versions(directory)
    }
    arguments = {part for _, command in processes.find(bool, also_in_containers=True) for part in command}
    return interpreters | arguments | {sys.executable}


def _images(
    context: WorkspaceContext, needed: Sequence[NeededVersion], unused_seconds: float, dry_run: bool
) -> Collected:
    doomed = [
        record
        for record in context.registry.images.list()
        if _superfluous(record, unused_seconds) and not users_of_image(context, record, needed)
    ]
    removed, problem = [record.id for record in doomed], None
    for record in doomed if not dry_run else ():
        try:
            delete_unused_image(context, record.id)
        except MLJupyterError as error:  # in use by now, or its engine does not answer: retried next time
            removed.remove(record.id)
            problem = error.message.partition("\n")[0]
    stages, size = _stages(unused_seconds, dry_run)
    return Collected("images", len(removed) + len(stages), size, (*removed, *stages), problem)


def _superfluous(record: ImageRecord, unused_seconds: float) -> bool:
    """Return whether an image may be removed once nothing uses it."""
    age = time.time() - record.created_time.timestamp()
    if record.creation_state in ("Failed", "Canceled"):
        return age > unused_seconds
    return record.creation_state == "Succeeded" and MADE_FOR in record.properties and age > KEEP_SECONDS


def _networks(dry_run: bool) -> Collected:
    """Remove the network of replicas from the engine, if there is one and no workspace has a container."""
    try:
        client = connect()
    except RuntimeUnavailableError:
        return Collected("networks", 0)  # no engine, no network
    try:
        with translated():
            removed = network.remove_unused(client, dry_run=dry_run)
    except RuntimeUnavailableError as error:
        return Collected("networks", 0, problem=error.message.partition("\n")[0])
    finally:
        client.close()
    return Collected("networks", int(removed), names=(network.NAME,) if removed else ())


def _stages(unused_seconds: float, dry_run: bool) -> tuple[list[str], int]:
    """Remove old stages of builds from the engine, if there is one; return their ids, and their size."""
    try:
        client = engine.connect(timeout=30)
    except ImageError:
        return [], 0  # no engine, no stages
    try:
        found = leftovers(client, unused_seconds=unused_seconds)
        gone = [one for one in found if dry_run or remove_leftover(client, one)]
    finally:
        client.close()
    return [one.id.removeprefix("sha256:")[:12] for one in gone], sum(one.size for one in gone)
