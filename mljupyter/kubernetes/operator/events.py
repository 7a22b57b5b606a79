"""The recorder of events: it writes what happens to endpoints as Events of the API server, and delays nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, ApiUnreachableError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.events import Entry, EventCorrelator, Happening

_AGAIN_AFTER = 1.0
_MOST_ATTEMPTS = 60
_MOST_WAITING = 1000
_NOT_FOUND = 404

log = logging.getLogger(__name__)


class EventRecorder:
    """Records events of endpoints. They are news, not state: some are lost when the API server is away for long.

    Parameters:
        api: the API server.
        namespace: the operator's namespace.
        instance: the name of the operator's pod.
        owner: returns the owner reference to an endpoint's custom resource; None before it is stored.

    """

    def __init__(
        self, api: ApiServer, namespace: str, instance: str, owner: Callable[[str], Mapping[str, Any] | None]
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._instance = instance
        self._owner = owner
        self._path = names.events(namespace)
        self._correlator = EventCorrelator()
        self._waiting: dict[int, tuple[Entry, int]] = {}  # by the identity of an entry, with the attempts so far
        self._bell = asyncio.Event()

    def record(self, endpoint: str, happening: Happening) -> None:
        """Record something that happened to an endpoint. It is written soon."""
        entry = self._correlator.observe(endpoint, happening, time.time())
        if entry is not None:
            self._waiting.setdefault(id(entry), (entry, 0))
            if len(self._waiting) > _MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]
            self._bell.set()

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            await self._bell.wait()
            self._bell.clear()
            waiting, self._waiting = self._waiting, {}
            again = {key: one for key, one in waiting.items() if not await self._written(one[0])}
            if again:
                self._waiting = {
                    key: (entry, attempts + 1) for key, (entry, attempts) in again.items() if attempts < _MOST_ATTEMPTS
                } | self._waiting
                await asyncio.sleep(_AGAIN_AFTER)
                self._bell.set()

    async def _written(self, entry: Entry) -> bool:
        """Write an event; return whether it needs no other attempt."""
        owner = self._owner(entry.endpoint)
        if owner is None:
            return False  # its custom resource is being stored
        try:
            if entry.owner not in ("", owner["uid"]):  # of an endpoint with the same name, which is gone
                entry.name, entry.count, entry.first_time = "", 1, entry.last_time
            if entry.name:
                try:
                    await self._api.patch(f"{self._path}/{entry.name}", entry.update(), kind="merge")
                    return True
                except ApiError as error:
                    if error.status != _NOT_FOUND:
                        raise
            entry.name, entry.owner = f"{entry.endpoint}.{time.time_ns():x}", str(owner["uid"])
            await self._api.create(self._path, entry.manifest(owner, self._namespace, self._instance))
        except ApiUnreachableError:
            return False  # it keeps its name: if it was created after all, it is found by it
        except ApiError as error:
            log.warning("endpoint %s: an event is not written: %s", entry.endpoint, error.message)
        return True
