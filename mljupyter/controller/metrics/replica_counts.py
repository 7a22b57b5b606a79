"""Replica reports: calls of `run()`, their duration, queueing time, and in a pod also CPU time and memory."""

from __future__ import annotations

import asyncio
import heapq
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mljupyter.controller.router.local_http import UNREACHABLE, LocalHttp
from mljupyter.outside import json_value
from mljupyter.runtimes.base import RunningReplica, Usage
from mljupyter.spec.version import LARGEST_NUMBER
from mljupyter.telemetry.metrics.samples import Counts

MOST_AT_A_TIME = 16
IDLE_SECONDS = 10.0  # between two questions to a replica without requests
_STATE, _STATE_AND_USAGE = "/-/state", "/-/state?usage"
_ANSWER_WITHIN = 1.0
_WITHOUT_COUNTERS_AGAIN_AFTER = 60.0
_OK = 200
_LARGEST_PID = 2**31 - 1


@dataclass(frozen=True)
class ReplicaReport:
    """What a replica tells of itself.

    Attributes:
        counts: its counters since it started.
        worker_pid: the pid of the process that runs the script; None while there is none.
        usage: its CPU time and memory; None if it was not asked for them or does not know them.

    """

    counts: Counts
    worker_pid: int | None
    usage: Usage | None = None


class ReplicaAsker:
    """Reads replicas over persistent connections, at most `MOST_AT_A_TIME` of a kind in one call.

    Those with the oldest reading come first. One that measures itself is asked for its CPU time and memory as well.

    The counters are totals, so nothing is lost when a replica is read later. A replica that answers without counters,
    as a server in the user's own image does, is asked once a minute.
    """

    def __init__(self) -> None:
        self._not_before: dict[str, float] = {}  # the monotonic time of the next question
        self._connections: dict[str, LocalHttp] = {}
        self._asked: dict[str, float] = {}

    async def ask(
        self, replicas: Iterable[RunningReplica], idle: Iterable[RunningReplica] = ()
    ) -> dict[str, ReplicaReport]:
        """Return the reports of the replicas whose turn it is, by id. Those that do not answer are left out.

        Parameters:
            replicas: replicas with requests, or that have not answered yet.
            idle: other replicas: none of them is asked again within `IDLE_SECONDS`.

        """
        now = time.monotonic()
        rested = (one for one in idle if now - self._asked.get(one.id, -math.inf) >= IDLE_SECONDS)
        turn = [*self._turn(replicas, now), *self._turn(rested, now)]
        answers = await asyncio.gather(*(self._ask(replica) for replica in turn))
        return {replica.id: answer for replica, answer in zip(turn, answers, strict=True) if answer is not None}

    def _turn(self, replicas: Iterable[RunningReplica], now: float) -> list[RunningReplica]:
        due = (replica for replica in replicas if self._not_before.get(replica.id, 0.0) <= now)
        return heapq.nsmallest(MOST_AT_A_TIME, due, key=lambda replica: self._asked.get(replica.id, 0.0))

    async def keep(self, replicas: Sequence[RunningReplica]) -> None:
        """Forget all replicas but these."""
        for replica_id in self._connections.keys() - {replica.id for replica in replicas}:
            self._asked.pop(replica_id, None)
            self._not_before.pop(replica_id, None)
            await self._connections.pop(replica_id).close()

    async def usage(self, replica: RunningReplica) -> Usage | None:
        """Return the usage of a replica that measures itself, now; None if it does not answer or does not know it."""
        answer = await self._ask(replica)
        return answer.usage if answer is not None else None

    async def _ask(self, replica: RunningReplica) -> ReplicaReport | None:
        http = self._connections.get(replica.id)
        if http is None:
            http = self._connections[replica.id] = LocalHttp(replica.address, _ANSWER_WITHIN, replica.headers)
        self._asked[replica.id] = time.monotonic()
        try:
            status, body = await http.get(_STATE_AND_USAGE if replica.measures_itself else _STATE)
        except UNREACHABLE:
            return None
        found = _read(body) if status == _OK else None
        if found is None:
            self._not_before[replica.id] = time.monotonic() + _WITHOUT_COUNTERS_AGAIN_AFTER
        return found


def _read(body: bytes) -> ReplicaReport | None:
    """Return the report in an answer. None if it is invalid: a server in the user's own image may answer anything."""
    try:
        state = json_value(body)
        counts = Counts(
            started=int(state["started"]),
            runs=int(state["run_seconds_count"]),
            run_microseconds=round(float(state["run_seconds_sum"]) * 1e6),
            wait_microseconds=round(float(state["wait_seconds_sum"]) * 1e6),
        )
        reported = (counts.started, counts.runs, counts.run_microseconds, counts.wait_microseconds)
        if not all(0 <= number <= LARGEST_NUMBER for number in reported):
            return None
        pid = int(state["worker_pid"]) if state.get("worker_pid") else None
        return ReplicaReport(counts, pid, _usage(state)) if pid is None or 0 < pid <= _LARGEST_PID else None
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _usage(state: Mapping[str, Any]) -> Usage | None:
    """Return the usage in an answer; None if it is missing or invalid."""
    try:
        found = Usage(float(state["usage"]["cpu_seconds"]), int(state["usage"]["memory_bytes"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    return found if 0 <= found.cpu_seconds <= LARGEST_NUMBER and 0 <= found.memory_bytes <= LARGEST_NUMBER else None
