"""The history of an endpoint: its changes with their times and users, and the decisions of autoscaling."""

from __future__ import annotations

from datetime import datetime

from mljupyter.spec.document import Document
from mljupyter.spec.endpoint import EndpointSpec


class HistoryEntry(Document):
    """One change. `changes` are lines for people; `spec` is what the endpoint was from then on."""

    number: int
    time: datetime
    user: str
    action: str
    changes: list[str] = []
    spec: EndpointSpec

    def text(self) -> str:
        """Return the entry as lines: number, time, user and action, then what changed."""
        head = f"{self.number}  {self.time:%Y-%m-%d %H:%M:%S}  {self.user or 'unknown'}  {self.action}"
        return "\n".join([head, *(f"   {line}" for line in self.changes)])

    def __repr__(self) -> str:
        return self.text()  # without the spec, whose environment variables may hold secrets


class ScalingDecision(Document):
    """Why the number of replicas of a version was changed.

    `before` and `after` are the numbers wanted, `admitted` how many of `after` the machine has room for. `demand` is
    the number of requests that ran or waited, which decided; `needed` is what the formula gives for it, before the
    bounds.
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
