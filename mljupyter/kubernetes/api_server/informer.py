"""An informer keeps a copy of the objects of one kind, by a list and then a watch of the API server."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing

from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object

_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_SHORT = 1.0  # seconds; a watch without an event that ends sooner counts as a failure
_GONE = 410
_REFUSED = (403, 404)

log = logging.getLogger(__name__)


def without_managers(item: Object) -> Object:
    """Return an object without the list of who manages which of its fields, which is half of its size."""
    metadata = {name: value for name, value in item["metadata"].items() if name != "managedFields"}
    return {**item, "metadata": metadata}


class Informer:
    """Keeps a copy of the selected objects at a path, and reports each difference.

    Attributes:
        objects: the copy by name. Do not change them.
        synced: set when the first list is in.
        answered: set then too, or when the API server has refused the list.
        unreachable_since: the monotonic time of the first failure since the API server answered last, or None. The copy
            is then that of the time before.
        problem: the text of this failure, or None.

    Parameters:
        api: the API server.
        path: the path of all objects of a kind.
        labels, fields: selectors.
        changed: called with ``ADDED``, ``MODIFIED`` or ``DELETED``, and the object. It must not raise. Differences that
            a new list shows are reported too.
        keep: returns the part of an object that is kept and reported, which saves memory. It needs the name, uid and
            resource version of the object.

    """

    def __init__(
        self,
        api: ApiServer,
        path: str,
        *,
        labels: str = "",
        fields: str = "",
        changed: Callable[[str, Object], None],
        keep: Callable[[Object], Object] | None = None,
    ) -> None:
        self._api = api
        self._path = path
        self._labels = labels
        self._fields = fields
        self._changed = changed
        self._keep = keep
        self._version: str | None = None
        self._failures = 0
        self.objects: dict[str, Object] = {}
        self.synced = asyncio.Event()
        self.answered = asyncio.Event()
        self.unreachable_since: float | None = None
        self.problem: str | None = None

    async def run(self) -> None:
        """Follow the API server until cancelled. After a failure, try again with growing pauses."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                else:
                    await self._watch(self._version)
            except ApiError as error:
                self._failures += 1
                if error.status in _REFUSED:
                    self.answered.set()
                if error.status == _GONE:
                    self._version = None  # too old to continue from: list again
                else:
                    self._fail(error.message)
            if self._failures:
                longest = min(_FIRST_PAUSE * 2.0 ** (self._failures - 1), _LONGEST_PAUSE)
                await asyncio.sleep(longest * random.uniform(0.5, 1.0))  # noqa: S311 - spreads clients in time

    async def _list(self) -> None:
        found, version = await self._api.list(self._path, labels=self._labels, fields=self._fields)
        self._well()
        present = {item["metadata"]["name"]: item for item in found}
        for name in self.objects.keys() - present.keys():
            self._forget(self.objects[name])
        for item in present.values():
            self._see(item)
        self._version = version
        self.synced.set()
        self.answered.set()

    async def _watch(self, version: str) -> None:
        began, first = time.monotonic(), True
        async with aclosing(self._api.watch(self._path, version, labels=self._labels, fields=self._fields)) as events:
            async for event in events:
                if first:
                    self._well()
                else:
                    self._failures = 0
                first = False
                kind, item = event["type"], event["object"]
                self._version = item["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    self._forget(item)
                elif kind != "BOOKMARK":
                    self._see(item)
        # A watch that ends at once without an event is not repeated without a pause.
        self._failures = self._failures + 1 if time.monotonic() - began < _SHORT else 0

    def _well(self) -> None:
        if self.problem is not None:
            log.info("the API server answers again: %s", self._path)
        self.unreachable_since = self.problem = None

    def _fail(self, message: str) -> None:
        if self.problem is None:
            log.warning("%s is not followed until the API server answers: %s", self._path, message)
        self.problem = message
        if self.unreachable_since is None:
            self.unreachable_since = time.monotonic()

    def _see(self, item: Object) -> None:
        item = item if self._keep is None else self._keep(item)
        name, before = item["metadata"]["name"], self.objects.get(item["metadata"]["name"])
        if before is not None and before["metadata"]["uid"] != item["metadata"]["uid"]:
            self._forget(before)  # it was deleted and created again in between
            before = None
        self.objects[name] = item
        if before is None:
            self._changed("ADDED", item)
        elif before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
            self._changed("MODIFIED", item)

    def _forget(self, item: Object) -> None:
        item = item if self._keep is None else self._keep(item)
        if self.objects.pop(item["metadata"]["name"], None) is not None:
            self._changed("DELETED", item)
