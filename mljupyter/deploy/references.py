"""Reference counting: models and images in use by web services cannot be deleted."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from mljupyter.controller.offline import needed_versions
from mljupyter.errors import MLJupyterError
from mljupyter.ownership import name_of
from mljupyter.registry.locking import wait_for_lock
from mljupyter.spec import EndpointSpec
from mljupyter.workspace.context import WorkspaceContext

_HOLDER = "web service "
_FILE = "usage.lock"
_Used = Callable[[EndpointSpec], set[str]]


class _Registered(Protocol):
    """A registry that counts references to its items."""

    def add_reference(self, holder: str, ids: Iterable[str], /) -> None:
        """Add a reference of a holder to an item."""
        ...

    def release(self, holder: str, ids: Iterable[str] | None = None, /) -> None:
        """Remove a holder's reference to an item."""
        ...


@contextmanager
def in_use(context: WorkspaceContext, name: str, spec: EndpointSpec) -> Iterator[None]:
    """Keep the models and images of a web service from being deleted during a change; afterwards, only those that it
    uses.

    Parameters:
        context: the workspace.
        name: the web service's name.
        spec: its new spec.

    """
    holder = _HOLDER + name + _of_workspace(context)
    registries: tuple[tuple[_Registered, _Used], ...] = (
        (context.registry.models, registered),
        (context.registry.images, images),
    )
    with _locked(context):
        before = [spec, *_present(context, name)]
        try:
            if context.registry.is_shared:
                context.registry.contents.add(holder_of_content(context), _digests(spec))
            for registry, used in registries:
                if ids := used(spec):
                    registry.add_reference(holder, ids)
            yield
        finally:
            # If this fails, the change has happened all the same: the items stay in use until the next change.
            with suppress(MLJupyterError):
                after = _present(context, name)
                for registry, used in registries:
                    if superfluous := _together(before, used) - _together(after, used):
                        registry.release(holder, superfluous)


def release(context: WorkspaceContext, name: str) -> None:
    """Release the references of a deleted web service, but keep those of a new one with the same name."""
    release_by_the_gone(context, [_HOLDER + name + _of_workspace(context)])


def release_by_the_gone(context: WorkspaceContext, holders: Iterable[str]) -> None:
    """Release the references of web services of this workspace that no longer exist."""
    suffix = _of_workspace(context)
    with _locked(context):
        present = {_HOLDER + record.spec.name + suffix for record in context.endpoints.endpoints()}
        for holder in holders:
            if holder.startswith(_HOLDER) and holder.endswith(suffix) and holder not in present:
                context.registry.models.release(holder)
                context.registry.images.release(holder)


def renew_content(context: WorkspaceContext) -> None:
    """Record the content that the endpoints of this workspace need now, for other workspaces with its database."""
    if context.registry.is_shared:
        with _locked(context):
            digests = {digest for version in needed_versions(context.directory) for digest in version.digests}
            context.registry.contents.replace(holder_of_content(context), digests)


def release_all(context: WorkspaceContext) -> None:
    """Release all references of a workspace that is deleted, if others use its database."""
    if context.registry.is_shared:
        context.registry.contents.replace(holder_of_content(context), ())
        context.registry.models.release_ending(_suffix(context))
        context.registry.images.release_ending(_suffix(context))


def shared_holder(context: WorkspaceContext, holder: str) -> str:
    """Return the name of a web service as a holder in a shared database, given its name in one of its own."""
    return holder + _suffix(context) if holder.startswith(_HOLDER) else holder


def own_holder(context: WorkspaceContext, holder: str) -> str | None:
    """Return the name of a holder in a database of its own, given its name in a shared one; None if it is another's."""
    if holder.startswith(_HOLDER):
        return holder.removesuffix(_suffix(context)) if holder.endswith(_suffix(context)) else None
    return None if holder.startswith("workspace ") else holder


def holder_of_content(context: WorkspaceContext) -> str:
    """Return the name of a workspace as a holder of content."""
    return f"workspace {context.document.id}"


def registered(spec: EndpointSpec) -> set[str]:
    """Return the ids of the registered models that an endpoint uses. Models from a local path have version 0."""
    return {model.id for version in spec.versions.values() for model in version.models if model.version}


def images(spec: EndpointSpec) -> set[str]:
    """Return the ids of the registered images that an endpoint uses."""
    return {version.image_id for version in spec.versions.values() if version.image_id is not None}


def _of_workspace(context: WorkspaceContext) -> str:
    """Return the end of a holder's name. In a shared database web services of several workspaces have one name."""
    return _suffix(context) if context.registry.is_shared else ""


def _suffix(context: WorkspaceContext) -> str:
    owner = context.document.created_by or name_of(context.directory.stat().st_uid)
    return f" (workspace {context.name} of {owner}, {context.document.id[:8]})"


def _digests(spec: EndpointSpec) -> set[str]:
    codes = {version.code.digest for version in spec.versions.values() if version.code is not None}
    return codes | {model.digest for version in spec.versions.values() for model in version.models}


def _present(context: WorkspaceContext, name: str) -> list[EndpointSpec]:
    return [record.spec for record in context.endpoints.endpoints() if record.spec.name == name]


def _together(specs: Iterable[EndpointSpec], used: _Used) -> set[str]:
    return set().union(*(used(spec) for spec in specs))


@contextmanager
def _locked(context: WorkspaceContext) -> Iterator[None]:
    """Lock the references of web services against other processes and threads.

    Without the lock, a process could record references that a concurrent change has made obsolete. The lock ends with
    its process.
    """
    descriptor = os.open(context.directory / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        wait_for_lock(descriptor, fcntl.LOCK_EX, None)
        yield
    finally:
        os.close(descriptor)
