"""The record of an autoscaling decision, for storage and display."""

from __future__ import annotations

from datetime import datetime

from mljupyter.spec.document import Document


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
