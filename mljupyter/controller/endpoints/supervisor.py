"""The supervisor starts, watches and stops replicas: it notices when one becomes ready, stops answering, or ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

from mljupyter.controller.endpoints.replica_handle import ReplicaHandle
from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.runtimes.base import Ending, ReplicaOrder, RunningReplica, Runtime, Runtimes
from mljupyter.runtimes.replica_layout import grace_seconds
from mljupyter.spec import ReplicaPhase, VersionSpec

_FIRST_LOOK, _LATER_LOOK, _SOON = 0.01, 0.1, 2.0
_LAST_LINES = 20
_GRACE_SPARE = 5.0  # the replica itself ends first, and logs it
_OK = 200

log = logging.getLogger(__name__)


class Supervisor:
    """Starts, watches and stops the replicas of all endpoints.

    Parameters:
        runtimes: the runtimes by compute target.
        changed: called with the endpoint's name whenever one of its replicas changes its phase.

    """

    def __init__(self, runtimes: Runtimes, changed: Callable[[str], None]) -> None:
        self._runtimes = runtimes
        self._changed = changed
        self._watched: dict[str, ReplicaHandle] = {}

    def of(self, endpoint: str) -> list[ReplicaHandle]:
        """Return the replicas of an endpoint."""
        return [item for item in self._watched.values() if item.replica.endpoint == endpoint]

    def all(self) -> list[ReplicaHandle]:
        """Return the replicas of all endpoints."""
        return list(self._watched.values())

    def endpoints(self) -> set[str]:
        """Return the names of all endpoints that have replicas."""
        return {item.replica.endpoint for item in self._watched.values()}

    async def adopt(self, target: str, spec_of: Callable[[RunningReplica], VersionSpec | None]) -> None:
        """Adopt the running replicas on a compute target. Those with an unknown spec are ended.

        Returns when the readiness of each is known.
        """
        taken = []
        for replica in await self._runtimes.of(target).adopt():
            spec = spec_of(replica)
            if spec is None:
                log.info("ending replica %s: no endpoint needs it", replica.id)
                self._of(replica).kill(replica)
                continue
            watched = self._watch(replica, spec)
            watched.adopted = True
            taken.append(self._look(watched))
        await asyncio.gather(*taken)

    async def start(self, order: ReplicaOrder) -> None:
        """Start a replica and watch it."""
        replica = await self._runtimes.of(order.target).start(order)
        log.info("started replica %s (%s, revision %s)", replica.id, replica.address, replica.revision)
        self._watch(replica, order.spec)

    def drain(self, replica_id: str) -> None:
        """Ask a replica to finish its requests and end. Kill it after its grace time."""
        watched = self._watched.get(replica_id)
        if watched is None or not watched.observed().serving:
            return
        starting = watched.phase is ReplicaPhase.STARTING
        watched.phase = ReplicaPhase.DRAINING
        watched.asked_to_end = True
        if starting:
            self._of(watched.replica).kill(watched.replica)  # nothing to finish: it had no request
            return
        self._of(watched.replica).stop(watched.replica)
        asyncio.get_running_loop().call_later(watched.grace, self._end_of_grace, replica_id)

    def lose(self, replica_id: str) -> None:
        """Record that a replica's socket was removed, so that another replica takes its place."""
        watched = self._watched.get(replica_id)
        if watched is None or watched.lost:
            return
        watched.lost = True
        log.warning("replica %s has lost its socket %s", replica_id, watched.replica.address)
        self._changed(watched.replica.endpoint)

    def remove(self, replica_id: str) -> ReplicaHandle | None:
        """Forget a replica that has ended, and return its handle."""
        return self._watched.pop(replica_id, None)

    async def leave(self) -> None:
        """Stop watching. The replicas continue to serve."""
        tasks = [item.task for item in self._watched.values() if item.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop_all(self) -> None:
        """End all replicas, and return when they are gone."""
        watched = list(self._watched.values())
        for item in watched:
            self._of(item.replica).kill(item.replica)
        await asyncio.gather(*(item.task for item in watched if item.task is not None), return_exceptions=True)

    def _of(self, replica: RunningReplica) -> Runtime:
        return self._runtimes.of(replica.target)

    def _watch(self, replica: RunningReplica, spec: VersionSpec) -> ReplicaHandle:
        grace = grace_seconds(spec) + _GRACE_SPARE
        watched = ReplicaHandle(replica, spec.probe, grace, since=time.monotonic())
        self._watched[replica.id] = watched
        watched.task = asyncio.create_task(self._follow(watched), name=f"replica {replica.id}")
        return watched

    def _end_of_grace(self, replica_id: str) -> None:
        watched = self._watched.get(replica_id)
        if watched is not None and watched.phase is ReplicaPhase.DRAINING:
            log.warning("replica %s did not end within its grace time", replica_id)
            self._of(watched.replica).kill(watched.replica)

    async def _follow(self, watched: ReplicaHandle) -> None:
        """Follow a replica to its end."""
        health = asyncio.create_task(self._check_health(watched))
        try:
            watched.end = await self._of(watched.replica).ended(watched.replica)
        except Exception as error:
            # The end of an unwatched replica would never be noticed, so it is replaced.
            log.exception("replica %s cannot be watched: ending it", watched.replica.id)
            self._of(watched.replica).kill(watched.replica)
            watched.end = Ending(reason=f"could not be watched any more: {error}")
        finally:
            health.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await health
        was = watched.phase
        watched.phase = ReplicaPhase.EXITED
        if not watched.asked_to_end:
            watched.last_lines = await self._of(watched.replica).last_lines(watched.replica, _LAST_LINES)
            log.warning("replica %s, %s, %s", watched.replica.id, was, watched.ending())
        self._changed(watched.replica.endpoint)

    async def _check_health(self, watched: ReplicaHandle) -> None:
        while watched.phase in (ReplicaPhase.STARTING, ReplicaPhase.READY):
            http = _http_of(watched)
            try:
                await self._until_ready(watched, http)
                await self._while_ready(watched, http)
                return
            except Exception:
                # After any error: without checks, the replica would keep its phase for ever.
                log.exception("the health of replica %s cannot be checked: retrying", watched.replica.id)
                await asyncio.sleep(_SOON)
            finally:
                await http.close()

    async def _until_ready(self, watched: ReplicaHandle, http: LocalHttp) -> None:
        while watched.phase is ReplicaPhase.STARTING:
            if await _status(http) == _OK:
                self._ready(watched)
                return
            soon = time.monotonic() - watched.since < _SOON
            await asyncio.sleep(_FIRST_LOOK if soon else _LATER_LOOK)

    async def _while_ready(self, watched: ReplicaHandle, http: LocalHttp) -> None:
        """End a replica that does not answer at all. One that restarts its worker answers, so it is not dead."""
        while watched.phase is ReplicaPhase.READY:
            await asyncio.sleep(watched.probe.period_seconds)
            before = watched.unanswered
            watched.unanswered = 0 if await _status(http) is not None else before + 1
            if watched.phase is not ReplicaPhase.READY:
                return
            if bool(before) != bool(watched.unanswered):
                self._changed(watched.replica.endpoint)
            if watched.unanswered >= watched.probe.failure_threshold and not watched.lost:
                log.warning("replica %s has not answered %d times: ending it", watched.replica.id, watched.unanswered)
                self._of(watched.replica).kill(watched.replica)
                return

    async def _look(self, watched: ReplicaHandle) -> None:
        http = _http_of(watched)
        if await _status(http) == _OK:
            self._ready(watched)
        await http.close()

    def _ready(self, watched: ReplicaHandle) -> None:
        if watched.phase is ReplicaPhase.STARTING:
            watched.phase = ReplicaPhase.READY
            watched.ready_since = time.monotonic()
            self._changed(watched.replica.endpoint)


def _http_of(watched: ReplicaHandle) -> LocalHttp:
    return LocalHttp(watched.replica.address, watched.probe.timeout_seconds, watched.replica.headers)


async def _status(http: LocalHttp) -> int | None:
    """Return the status code of a replica's health check, None without an answer."""
    try:
        status, _ = await http.get("/")
    except UNREACHABLE:
        return None
    return status
