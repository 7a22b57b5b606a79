"""Creating a cluster for a workspace, and deleting it: the provider's work, then that of an attachment.

Both run in a background thread; see `mljupyter.targets.kubernetes.attachment.Attachment`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from mljupyter.client.errors import ControllerError
from mljupyter.errors import MLJupyterError, said_of
from mljupyter.exceptions import ComputeTargetException
from mljupyter.kubernetes.objects import names
from mljupyter.targets.base import TargetContext
from mljupyter.targets.kubernetes.attached import attached_clusters, check_name, check_not_reserved, forget
from mljupyter.targets.kubernetes.attachment import (
    Attachment,
    ClusterSettings,
    OnLine,
    attachment_of,
    begin_work,
    checked_work,
)
from mljupyter.targets.kubernetes.client import ClusterClient
from mljupyter.targets.kubernetes.cluster import Cluster, ClusterError, access_to
from mljupyter.targets.kubernetes.created import (
    CreatedCluster,
    CreationState,
    created_cluster,
    forget_created,
    kubeconfig_file,
    new_kubeconfig_file,
    remember_created,
)
from mljupyter.targets.kubernetes.preflight import takes_pods
from mljupyter.targets.kubernetes.providers import Provider, provider_of
from mljupyter.targets.kubernetes.providers.programs import CancelledError
from mljupyter.targets.kubernetes.removal import detach, forget_only

CREATED, DELETED = "created", "deleted"
"""Values of `Attachment.doing`."""

NODES_WITHIN_SECONDS = 300.0
_PAUSE_SECONDS = 1.0


def create(
    context: TargetContext,
    name: str,
    provider: Provider,
    settings: ClusterSettings,
    *,
    registry: str | None = None,
    then: Callable[[], None] = lambda: None,
) -> Attachment:
    """Create a cluster in the background and attach it; return the running work.

    Parameters:
        context: the workspace.
        name: the name of the compute target.
        provider: creates the cluster.
        settings: the installation in it; the provider gives the kubeconfig.
        registry: the host of the container registry from which nodes pull images.
        then: is called when it is attached.

    Raises:
        ComputeTargetException: the name is in use, or the provider cannot be used here.

    """
    check_name(name)
    _check_free(context.directory, name)
    provider.check()
    directory = context.directory
    kubeconfig = new_kubeconfig_file(directory, name)
    settings = replace(settings, resource_id=provider.resource_id)
    record = CreatedCluster(
        name,
        provider.settings(),
        _stored(replace(settings, kubeconfig=str(kubeconfig))),
        str(provider),
        provider.how_to_delete,
    ).by_this_process(CreationState.CREATING)
    remember_created(directory, record)

    def work(on_line: OnLine, cancel: threading.Event) -> None:
        present = record
        try:
            on_line(f"creating the {provider}")
            path = provider.create(kubeconfig, on_line, cancel)
            on_line(f"created the {provider}")
            own = replace(settings, kubeconfig=str(path))
            present = replace(record, settings=_stored(own), state=CreationState.ATTACHING.value)
            remember_created(directory, present)
            _wait_for_nodes(own, on_line, cancel)
            if cancel.is_set():
                raise CancelledError(f"the {provider} was created, and then its creation was cancelled.")
            install = checked_work(context, name, own, registry=registry, created=present)
        except BaseException as error:
            exists = present.state == CreationState.ATTACHING
            state = CreationState.CREATED if exists else CreationState.FAILED
            remember_created(directory, present.failed(state, said_of(error)))
            raise
        remember_created(directory, replace(present, state=CreationState.CREATED.value))
        install(on_line, cancel)
        then()

    return begin_work(directory, name, Attachment(name, work, CREATED))


def delete(
    context: TargetContext, name: str, client: Callable[[], ClusterClient | None], *, forgotten: bool = False
) -> Attachment:
    """Detach a created cluster and delete it, in the background; return the running work.

    A creation that runs in this process is cancelled. A cluster that cannot be detached is deleted all the same.

    Parameters:
        context: the workspace.
        name: the name of the compute target.
        client: returns the client of the cluster, None if it is not attached.
        forgotten: only remove the records: the cluster is gone.

    Raises:
        ComputeTargetException: no cluster was created under this name, or another process works on it.

    """
    directory = context.directory
    running = attachment_of(directory, name)
    if running is not None and not running.has_ended:
        running.cancel()
        running.join()
    created = created_cluster(directory, name)
    if created is None:
        raise ComputeTargetException(f"no cluster was created as compute target {name!r}: it cannot be deleted here.")
    if created.is_worked_on:
        raise ComputeTargetException(f"{name!r} cannot be deleted: {created.problem}")
    provider = None if forgotten else provider_of(created.provider)
    present = client()
    remember_created(directory, created.by_this_process(CreationState.DELETING))

    def work(on_line: OnLine, _cancel: threading.Event) -> None:
        try:
            if present is not None:
                _detach(directory, present, on_line, forgotten=forgotten)
            forget(directory, name)
            if provider is not None:
                on_line(f"deleting the {provider}")
                provider.delete(kubeconfig_file(directory, name), on_line)
                on_line(f"deleted the {provider}")
        except BaseException as error:
            remember_created(directory, replace(created.failed(CreationState.FAILED, said_of(error)), detached=False))
            raise
        forget_created(directory, name)

    return begin_work(directory, name, Attachment(name, work, DELETED))


def _stored(settings: ClusterSettings) -> dict[str, Any]:
    """Return the settings that the record has: texts and switches, to find the cluster and attach it again."""
    values = {one.name: getattr(settings, one.name) for one in fields(settings)}
    return {name: value for name, value in values.items() if isinstance(value, str | bool | None)}


def _check_free(directory: Path, name: str) -> None:
    """Check that a name is free for a new cluster.

    Raises:
        ComputeTargetException: it is in use.

    """
    check_not_reserved(name)
    created = created_cluster(directory, name)
    if created is not None and created.detached:
        raise ComputeTargetException(
            f"the {created.about} was created as {name!r} and detached.\nAttach it: {created.how_to_attach}\n"
            f"Delete it: mljupyter computetarget delete {name}. Or choose another name."
        )
    if created is not None or any(one.name == name for one in attached_clusters(directory)):
        verb = "detach" if created is None else "delete"
        raise ComputeTargetException(
            f"compute target {name!r} exists already: use ComputeTarget(ws, {name!r}), choose another name, or {verb} "
            f"it first: mljupyter computetarget {verb} {name}"
        )


def _detach(directory: Path, client: ClusterClient, on_line: OnLine, *, forgotten: bool) -> None:
    if not forgotten:
        try:
            detach(directory, client, on_line)
            return
        except MLJupyterError as error:
            on_line(f"not detached, and deleted all the same: {error.message.partition(chr(10))[0]}")
    forget_only(directory, client)


def _wait_for_nodes(settings: ClusterSettings, on_line: OnLine, cancel: threading.Event) -> None:
    """Wait until a new cluster answers and has a node that takes pods. The checks that follow say if it has none."""
    deadline = time.monotonic() + NODES_WITHIN_SECONDS
    cluster = Cluster(access_to(settings.kubeconfig, settings.context))
    said = ""
    try:
        while time.monotonic() < deadline and not cancel.is_set():
            try:
                if any(takes_pods(node) for node in cluster.items(names.nodes())):
                    return
                text = "waiting for a node that takes pods"
            except ClusterError:
                return  # the right to list nodes is missing: the checks say so
            except ControllerError as error:
                text = f"waiting for the API server: {error.message.partition(chr(10))[0]}"
            if text != said:
                on_line(text)
                said = text
            time.sleep(_PAUSE_SECONDS)
    finally:
        cluster.close()
