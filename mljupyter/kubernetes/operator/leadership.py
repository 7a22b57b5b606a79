"""Leadership: one operator at a time works, the one that holds a Lease of the namespace."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any

from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, Object
from mljupyter.kubernetes.objects import names

LEASE_SECONDS = 12
_RENEW_EVERY = 2.0
_SPARE_SECONDS = 2.0  # for a write that is on its way
_NOT_FOUND, _CONFLICT = 404, 409

log = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """Another operator leads."""


class Leadership:
    """Takes and renews the Lease of the operators of a namespace.

    Parameters:
        api: the API server.
        namespace: the operator's namespace.
        identity: the name of this operator's pod.

    """

    def __init__(self, api: ApiServer, namespace: str, identity: str) -> None:
        self._api = api
        self._namespace = namespace
        self._identity = identity
        self._path = f"{names.leases(namespace)}/{names.OPERATOR}"
        self._lease: Object | None = None
        self._seen: tuple[str, float] = ("", 0.0)  # the holder's last renewal, and when it was seen first
        self._renewed: float | None = None  # when the last renewal that has succeeded was sent
        self._writing = asyncio.Lock()  # two renewals at once would take each other for another operator
        self._asked = 0.0  # when a renewal was tried last

    async def holds(self) -> bool:
        """Return whether no other operator can lead. If that is in doubt, try to renew the Lease.

        It is in doubt after the process was stopped, or the API server away, for longer than the Lease lasts. Callers
        that wait at the same time share one attempt.

        Raises:
            ApiError: the Lease cannot be renewed now.

        """
        began = time.monotonic()
        if not self._lasts():
            async with self._writing:
                if self._lease is not None and not self._lasts() and self._asked <= began:
                    await self._written(self._lease)
        return self._lasts()

    def _lasts(self) -> bool:
        return self._renewed is not None and time.monotonic() - self._renewed < LEASE_SECONDS - _SPARE_SECONDS

    async def take(self) -> None:
        """Return when this operator leads: at once if nobody does, or when the leader has stopped renewing."""
        while not await self._tried():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_RENEW_EVERY / 2)

    async def keep(self) -> None:
        """Renew the Lease until cancelled.

        Raises:
            LeadershipLostError: another operator has it.

        """
        while True:
            await asyncio.sleep(_RENEW_EVERY)
            try:
                async with self._writing:
                    kept = await self._written(self._lease)
                if not kept:
                    raise LeadershipLostError("another operator leads")
            except ApiError as error:
                # While the API server is away, no other operator can take the Lease, and nothing can be changed.
                log.warning("the Lease is not renewed: %s", error.message)

    async def announce(self) -> None:
        """Have the operator's Service lead to this pod, and to no other one."""
        pods = names.pods(self._namespace)
        found, _ = await self._api.list(pods, labels=names.selector(component=names.COMPONENT_OPERATOR))
        for pod in found:
            name = pod["metadata"]["name"]
            leads = "true" if name == self._identity else None
            if (pod["metadata"].get("labels") or {}).get(names.LEADER_LABEL) != leads:
                body = {"metadata": {"labels": {names.LEADER_LABEL: leads}}}
                await self._api.patch(f"{pods}/{name}", body, kind="merge")

    async def give_up(self) -> None:
        """Let another operator lead at once."""
        if self._lease is None:
            return
        body = {**self._lease, "spec": {**self._lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}}
        try:
            await self._api.replace(self._path, body)
        except ApiError as error:
            log.warning("the Lease is not given up: %s", error.message)

    async def _tried(self) -> bool:
        try:
            present: Object | None = await self._api.get(self._path)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                log.warning("the Lease cannot be read: %s", error.message)
                return False
            present = None
        try:
            return (present is None or self._free(present)) and await self._written(present)
        except ApiError as error:
            log.warning("the Lease cannot be written: %s", error.message)
            return False

    def _free(self, lease: Object) -> bool:
        """Return whether nobody holds a Lease any more. Clocks of other machines are not trusted."""
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity")
        if not holder or holder == self._identity:
            return True
        renewal = f"{holder} {spec.get('renewTime')}"
        if renewal != self._seen[0]:
            self._seen = (renewal, time.monotonic())
            return False
        return time.monotonic() - self._seen[1] > float(spec.get("leaseDurationSeconds") or LEASE_SECONDS)

    async def _written(self, present: Object | None) -> bool:
        """Write the Lease for this operator; return whether it was still the one that was read."""
        self._asked = sent = time.monotonic()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec: dict[str, Any] = dict((present or {}).get("spec") or {})
        if spec.get("holderIdentity") != self._identity:
            spec["acquireTime"] = now
            spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        spec |= {"holderIdentity": self._identity, "renewTime": now, "leaseDurationSeconds": LEASE_SECONDS}
        try:
            if present is None:
                metadata = {
                    "name": names.OPERATOR,
                    "namespace": self._namespace,
                    "labels": names.labels(names.COMPONENT_OPERATOR),
                }
                body = {
                    "apiVersion": "coordination.k8s.io/v1",
                    "kind": "Lease",
                    "metadata": metadata,
                    "spec": spec,
                }
                self._lease = await self._api.create(names.leases(self._namespace), body)
            else:
                self._lease = await self._api.replace(self._path, {**present, "spec": spec})
        except ApiError as error:
            if error.status in (_CONFLICT, _NOT_FOUND):
                self._renewed = None
                return False
            raise
        self._renewed = sent
        return True
