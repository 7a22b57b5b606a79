"""A decision on the number of replicas, as it is kept and shown."""

from __future__ import annotations

from datetime import datetime

from mljupyter.spec.document import Document


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
