"""The capacity manager sums the resource requests on each machine and admits replicas that fit there."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection

from mljupyter.engine.scaling.capacity import Admission, Capacity, Claim, admit
from mljupyter.runtimes.base import Runtimes, RuntimeUnavailableError

_LOOK_AGAIN_AFTER = 60.0
_ANSWER_WITHIN = 5.0

log = logging.getLogger(__name__)


class CapacityManager:
    """Decides how many replicas a version may have. On a machine of unknown size, all are admitted.

    Parameters:
        runtimes: know the size of their machine, by compute target.

    """

    def __init__(self, runtimes: Runtimes) -> None:
        self._runtimes = runtimes
        self._capacities: dict[str, tuple[float, Capacity | None]] = {}
        self._claims: dict[str, dict[str, tuple[str, Claim]]] = {}  # by endpoint and version

    async def learn(self, target: str) -> None:
        """Read the size of a compute target's machine, unless that was done recently."""
        known = self._capacities.get(target)
        if known is not None and time.monotonic() - known[0] < _LOOK_AGAIN_AFTER:
            return
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                capacity: Capacity | None = await self._runtimes.of(target).capacity()
        except (RuntimeUnavailableError, TimeoutError) as error:  # the start of a replica there reports the problem
            log.warning("the size of compute target %s is not known: %s", target, error)
            capacity = known[1] if known else None
        self._capacities[target] = (time.monotonic(), capacity)

    def admitted(self, target: str, claim: Claim) -> Admission:
        """Return the admission for a version's claim, and remember the claim."""
        endpoint, version = claim.version
        self._claims.setdefault(endpoint, {})[version] = (target, claim)
        capacity = self._shared(target)
        if capacity is None:
            return Admission(claim.wanted)
        claims = (item for versions in self._claims.values() for item in versions.values())
        together = [other for where, other in claims if self._machine(where) == capacity.machine]
        return admit(together, capacity)[claim.version]

    @property
    def endpoints(self) -> Collection[str]:
        """The endpoints whose versions have claims, at this moment."""
        return tuple(self._claims)

    def keep(self, endpoint: str, versions: Collection[str]) -> None:
        """Forget the claims of an endpoint's versions that are not among these.

        Also those of versions that have never been seen before: an endpoint may be gone before anybody looks at it.
        """
        kept = {name: item for name, item in self._claims.pop(endpoint, {}).items() if name in versions}
        if kept:
            self._claims[endpoint] = kept

    def _machine(self, target: str) -> str | None:
        capacity = self._capacities.get(target, (0.0, None))[1]
        return capacity.machine if capacity is not None else None

    def _shared(self, target: str) -> Capacity | None:
        """Return the capacity that compute targets on the same machine share: the least that any of them reports."""
        machine = self._machine(target)
        if machine is None:
            return None
        seen = [item for _, item in self._capacities.values() if item is not None and item.machine == machine]
        return Capacity(
            min(item.cpu for item in seen),
            min(item.memory_in_gb for item in seen),
            machine,
            max(item.gpus for item in seen),
        )
