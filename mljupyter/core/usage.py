"""Which models and images the web services of a workspace use: as long as one does, they cannot be deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from mljupyter.core.usage_lock import changing_usage
from mljupyter.spec import EndpointSpec

if TYPE_CHECKING:
    from mljupyter.core.workspace import Workspace

_HOLDER = "web service "
_Used = Callable[[EndpointSpec], set[str]]


class _Registered(Protocol):
    """A registry that keeps who uses what is in it."""

    def add_reference(self, holder: str, ids: Iterable[str], /) -> None:
        """Note that a holder uses something."""
        ...

    def release(self, holder: str, ids: Iterable[str] | None = None, /) -> None:
        """Note that a holder no longer uses something."""
        ...


@contextmanager
def in_use(workspace: Workspace, name: str, spec: EndpointSpec) -> Iterator[None]:
    """Keep models and images from being deleted while a web service is given them; afterwards, what it then uses.

    Parameters:
        workspace: the workspace.
        name: the web service's name.
        spec: what it is to be.

    """
    holder = _HOLDER + name
    registries: tuple[tuple[_Registered, _Used], ...] = (
        (workspace.registry.models, registered),
        (workspace.registry.images, images),
    )
    with changing_usage(workspace):
        before = [spec, *_present(workspace, name)]
        try:
            for registry, used in registries:
                if ids := used(spec):
                    registry.add_reference(holder, ids)
            yield
        finally:
            after = _present(workspace, name)
            for registry, used in registries:
                if superfluous := _together(before, used) - _together(after, used):
                    registry.release(holder, superfluous)


def release(workspace: Workspace, name: str) -> None:
    """Note that a web service is gone; one of the same name that somebody has made since keeps what it uses."""
    release_by_the_gone(workspace, [_HOLDER + name])


def release_by_the_gone(workspace: Workspace, holders: Iterable[str]) -> None:
    """Release what is held by web services that do not exist any more."""
    with changing_usage(workspace):
        present = {_HOLDER + record.spec.name for record in workspace.endpoint_records()}
        for holder in holders:
            if holder.startswith(_HOLDER) and holder not in present:
                workspace.registry.models.release(holder)
                workspace.registry.images.release(holder)


def registered(spec: EndpointSpec) -> set[str]:
    """Return the ids of the registered models that an endpoint uses; those from a local path have version 0."""
    return {model.id for version in spec.versions.values() for model in version.models if model.version}


def images(spec: EndpointSpec) -> set[str]:
    """Return the ids of the registered images that an endpoint uses."""
    return {version.image_id for version in spec.versions.values() if version.image_id is not None}


def _present(workspace: Workspace, name: str) -> list[EndpointSpec]:
    return [record.spec for record in workspace.endpoint_records() if record.spec.name == name]


def _together(specs: Iterable[EndpointSpec], used: _Used) -> set[str]:
    return set().union(*(used(spec) for spec in specs))
