"""The clusters that were created for a workspace: one JSON file each beside the attachments, without credentials.

It has what is needed to attach a cluster again and to delete it. Its kubeconfig is a file of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from mljupyter.kubernetes.objects import names
from mljupyter.process_start import start_mark
from mljupyter.targets.kubernetes.attached import FOLDER, AttachedCluster
from mljupyter.targets.records import RecordStore
from mljupyter.workspace_folders import make_folder

_CREATED = "created"
_MOST_CHARACTERS = 4000


class CreationState(StrEnum):
    """The state of a created cluster."""

    CREATING = "Creating"
    """It is being created."""

    ATTACHING = "Attaching"
    """It exists, and is being attached by the process that created it."""

    CREATED = "Created"
    """It exists. If it is not attached, `CreatedCluster.error` says why."""

    FAILED = "Failed"
    """It could not be created, or not be deleted; parts of it may exist."""

    DELETING = "Deleting"
    """It is being deleted."""


@dataclass(frozen=True)
class CreatedCluster:
    """One cluster that was created for a workspace.

    Parameters:
        name: its name as a compute target.
        provider: the settings of its provider, with its ``name``.
        settings: the settings for attaching it; see `mljupyter.targets.kubernetes.attachment.ClusterSettings`.
        about: the cluster for people, such as ``kind cluster 'team'``.
        how_to_delete: the command with which people delete it themselves.
        state: its state; see `now`.
        error: the reason of a failure, with the last lines.
        process, start: the process that creates or deletes it, and the mark of its start.
        detached: whether it was detached, and is no compute target.

    """

    name: str
    provider: dict[str, Any]
    settings: dict[str, Any]
    about: str = ""
    how_to_delete: str = ""
    state: str = CreationState.CREATING.value
    error: str = ""
    process: int = 0
    start: str = ""
    detached: bool = False

    @property
    def is_worked_on(self) -> bool:
        """Whether a process creates or deletes it now."""
        if self.state in (CreationState.CREATED, CreationState.FAILED):
            return False
        try:
            return start_mark(self.process) == self.start
        except ProcessLookupError:
            return False

    @property
    def planned(self) -> AttachedCluster:
        """The record that it will have when it is attached. Its identity is not known yet."""
        given = self.settings
        return AttachedCluster(
            self.name,
            str(given.get("type", "Kubernetes")),
            given.get("kubeconfig"),
            given.get("context"),
            str(given.get("namespace")),
            "",
            str(given.get("purpose")),
            str(given.get("service_type")),
            bool(given.get("internal")),
            str(given.get("image") or ""),
            str(given.get("resource_id") or ""),
        )

    @property
    def how_to_attach(self) -> str:
        """The command that attaches it with the settings of its creation."""
        options = f" --purpose {self.planned.purpose} --service-type {self.planned.service_type}"
        if self.planned.namespace != names.DEFAULT_NAMESPACE:
            options += f" --namespace {self.planned.namespace}"
        return f"mljupyter computetarget attach {self.name}{options}"

    @property
    def problem(self) -> str:
        """The reason why it cannot be used, with a way out."""
        delete = f"mljupyter computetarget delete {self.name}"
        if self.is_worked_on:
            doing = "deleted" if self.state == CreationState.DELETING else "created"
            return f"the {self.about} is being {doing} by process {self.process}: wait for it."
        if self.state in (CreationState.CREATED, CreationState.ATTACHING):
            reason = self.error or "It was not attached: the process that created it has ended."
            return (
                f"the {self.about} exists, and is not attached.\n{reason}\n"
                f"Attach it: {self.how_to_attach}\nDelete it: {delete}"
            )
        if self.state == CreationState.FAILED:
            return f"{self.error}\nDelete what is there of it: {delete}"
        doing = "deletes" if self.state == CreationState.DELETING else "creates"
        return (
            f"process {self.process}, which {doing} the {self.about}, has ended before it was done.\n"
            f"Delete what is there of it: {delete}"
        )

    def by_this_process(self, state: CreationState) -> CreatedCluster:
        """Return it in a state into which this process brings it."""
        pid = os.getpid()
        return replace(self, state=state.value, error="", process=pid, start=start_mark(pid))

    def failed(self, state: CreationState, error: str) -> CreatedCluster:
        """Return it in a state, with the reason of a failure."""
        return replace(self, state=state.value, error=error[:_MOST_CHARACTERS])


def _is_complete(created: CreatedCluster) -> bool:
    return isinstance(created.provider, dict) and isinstance(created.settings, dict)


_RECORDS = RecordStore(CreatedCluster, f"{FOLDER}/{_CREATED}", _is_complete)


def created_clusters(directory: Path) -> list[CreatedCluster]:
    """Return the created clusters of a workspace by name. A file that is no record of a cluster is ignored."""
    return _RECORDS.all(directory)


def created_cluster(directory: Path, name: str) -> CreatedCluster | None:
    """Return the created cluster of a name, None if there is none."""
    return next((one for one in created_clusters(directory) if one.name == name), None)


def remember_created(directory: Path, created: CreatedCluster) -> None:
    """Write the record of a created cluster."""
    _RECORDS.write(directory, created)


def forget_created(directory: Path, name: str) -> None:
    """Remove the record of a created cluster, and the kubeconfig that was written for it."""
    kubeconfig_file(directory, name).unlink(missing_ok=True)
    _RECORDS.remove(directory, name)


def kubeconfig_file(directory: Path, name: str) -> Path:
    """Return the path for the kubeconfig of a cluster that was created, or whose credentials Azure has given."""
    return directory / FOLDER / f"{name}.kubeconfig"


def new_kubeconfig_file(directory: Path, name: str) -> Path:
    """Return the path of `kubeconfig_file`, whose folder is created; raise `WorkspaceGoneError` without a workspace."""
    make_folder(directory, FOLDER)
    return kubeconfig_file(directory, name)
