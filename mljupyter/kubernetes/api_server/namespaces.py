"""Informers for the objects of one kind in several namespaces, as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

from mljupyter.kubernetes.api_server.connection import ApiServer, Object
from mljupyter.kubernetes.api_server.informer import Informer


def namespace_of(item: Object) -> str:
    """Return the namespace of an object; an empty one if it has none."""
    return str(item["metadata"].get("namespace", ""))


class NamespaceInformers:
    """Keeps a copy of the selected objects of some namespaces.

    The first namespace must be readable. In each other one, the right to read may be missing, or it may have been
    deleted: it has no objects then, and the others are not held up by it.

    Parameters:
        api: the API server.
        path: returns the path of all objects of the kind in a namespace.
        selectors: the label selector for each namespace.
        changed, keep: as for `Informer`.

    """

    def __init__(
        self,
        api: ApiServer,
        path: Callable[[str], str],
        selectors: Mapping[str, str],
        *,
        changed: Callable[[str, Object], None],
        keep: Callable[[Object], Object] | None = None,
    ) -> None:
        self._informers = {
            namespace: Informer(api, path(namespace), labels=selector, changed=changed, keep=keep)
            for namespace, selector in selectors.items()
        }

    @property
    def problem(self) -> str | None:
        """The reason why the API server is not followed in the first namespace, or None."""
        return next(iter(self._informers.values())).problem

    async def run(self) -> None:
        """Follow the API server until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for informer in self._informers.values():
                tasks.create_task(informer.run())

    async def known(self) -> None:
        """Return when the objects of all namespaces are known, as far as they can be read."""
        first, *others = self._informers.values()
        await asyncio.gather(first.synced.wait(), *(one.answered.wait() for one in others))

    def is_known(self, namespace: str) -> bool:
        """Return whether the objects of a namespace are known."""
        return namespace in self._informers and self._informers[namespace].synced.is_set()

    def find(self, namespace: str, name: str) -> Object | None:
        """Return an object; None when there is none."""
        informer = self._informers.get(namespace)
        return informer.objects.get(name) if informer is not None else None

    def all(self) -> Iterator[tuple[str, Object]]:
        """Yield all objects, each with its namespace."""
        for namespace, informer in self._informers.items():
            for item in list(informer.objects.values()):
                yield namespace, item
