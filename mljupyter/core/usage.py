"""Which models the web services of a workspace use: as long as one does, the model cannot be deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mljupyter.spec import EndpointSpec

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace

_HOLDER = "web service "


@contextmanager
def models_in_use(workspace: Workspace, name: str, models: Iterable[str]) -> Iterator[None]:
    """Keep models from being deleted while a web service is given them; afterwards, just those that it then uses.

    Parameters:
        workspace: the workspace.
        name: the web service's name.
        models: ids of the registered models that it is to use.

    """
    ids = set(models)
    holder = _HOLDER + name
    before = _used_by(workspace, name)
    if ids:
        workspace.registry.models.add_reference(holder, ids)
    try:
        yield
    finally:
        if superfluous := (before | ids) - _used_by(workspace, name):
            workspace.registry.models.release(holder, superfluous)


def release_models(workspace: Workspace, name: str) -> None:
    """Note that a web service is gone."""
    workspace.registry.models.release(_HOLDER + name)


def release_models_of_the_gone(workspace: Workspace, holders: Iterable[str]) -> None:
    """Release the models of those holders that are web services which do not exist any more."""
    present = {_HOLDER + record.spec.name for record in workspace.endpoint_records()}
    for holder in holders:
        if holder.startswith(_HOLDER) and holder not in present:
            workspace.registry.models.release(holder)


def registered(spec: EndpointSpec) -> set[str]:
    """Return the ids of the registered models that an endpoint uses; those from a local path have version 0."""
    return {model.id for version in spec.versions.values() for model in version.models if model.version}


def _used_by(workspace: Workspace, name: str) -> set[str]:
    records = [record for record in workspace.endpoint_records() if record.spec.name == name]
    return set().union(*(registered(record.spec) for record in records))
