"""The history of an endpoint, and of a cluster's router: changes with times and users, and decisions of autoscaling."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from mljupyter.spec.document import Document
from mljupyter.spec.endpoint import EndpointSpec


class HistoryEntry(Document):
    """One change. `changes` are lines for people; `spec` is the spec of the endpoint after it."""

    number: int
    time: datetime
    user: str
    action: str
    changes: list[str] = []
    spec: EndpointSpec

    def text(self) -> str:
        """Return the entry as lines: number, time, user and action, then the changes."""
        head = f"{self.number}  {self.time:%Y-%m-%d %H:%M:%S}  {self.user or 'unknown'}  {self.action}"
        return "\n".join([head, *(f"   {line}" for line in self.changes)])

    def __repr__(self) -> str:
        return self.text()  # without the spec, whose environment variables may contain secrets


class ScalingDecision(Document):
    """A change of a version's number of replicas, with its reason.

    `before` and `after` are the desired numbers, `admitted` is the part of `after` that fits on the machine. `demand`
    is the number of running or waiting requests that the decision is based on; `needed` is the formula's result for
    it, before the minimum and maximum are applied.
    """

    time: datetime
    version: str
    before: int
    after: int
    admitted: int
    reason: str
    demand: float
    needed: int
    min_replicas: int
    max_replicas: int
    target_utilization: int
    max_concurrent_requests: int


class RouterStep(StrEnum):
    """The direction of a change of the router's size: cores of each pod up and down, pods out and in."""

    UP = "Up"
    OUT = "Out"
    DOWN = "Down"
    IN = "In"
    BOUNDS = "Bounds"
    NO_ROOM = "NoRoom"
    """The cluster has no room to grow; or it had none for a change, which is undone."""


class RouterScalingDecision(Document):
    """A change of the size of a cluster's router, with its reason.

    `cpu_before` and `cpu_after` are the cores that each pod requests. `routing_ms` is the time to route a request that
    the decision is based on, `utilization` the percentage of the requested cores in use.
    """

    time: datetime
    step: RouterStep
    pods_before: int
    pods_after: int
    cpu_before: float
    cpu_after: float
    reason: str
    routing_ms: float | None = None
    utilization: float | None = None
