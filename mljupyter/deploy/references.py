"""Reference counting: models and images in use by web services cannot be deleted."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

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
    holder = _HOLDER + name
    registries: tuple[tuple[_Registered, _Used], ...] = (
        (context.registry.models, registered),
        (context.registry.images, images),
    )
    with _locked(context):
        before = [spec, *_present(context, name)]
        try:
            for registry, used in registries:
                if ids := used(spec):
                    registry.add_reference(holder, ids)
            yield
        finally:
            after = _present(context, name)
            for registry, used in registries:
                if superfluous := _together(before, used) - _together(after, used):
                    registry.release(holder, superfluous)


def release(context: WorkspaceContext, name: str) -> None:
    """Release the references of a deleted web service, but keep those of a new one with the same name."""
    release_by_the_gone(context, [_HOLDER + name])


def release_by_the_gone(context: WorkspaceContext, holders: Iterable[str]) -> None:
    """Release the references of web services that no longer exist."""
    with _locked(context):
        present = {_HOLDER + record.spec.name for record in context.endpoints.endpoints()}
        for holder in holders:
            if holder.startswith(_HOLDER) and holder not in present:
                context.registry.models.release(holder)
                context.registry.images.release(holder)


def registered(spec: EndpointSpec) -> set[str]:
    """Return the ids of the registered models that an endpoint uses. Models from a local path have version 0."""
    return {model.id for version in spec.versions.values() for model in version.models if model.version}


def images(spec: EndpointSpec) -> set[str]:
    """Return the ids of the registered images that an endpoint uses."""
    return {version.image_id for version in spec.versions.values() if version.image_id is not None}


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
