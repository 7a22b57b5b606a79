"""How many replicas a version needs: a pure policy on recent demand (Azure ML v1: AksWebservice, autoscaling).

Demand is the number of requests that run or wait, as a replica with a concurrency of one would see them. More
replicas come at once, for the highest demand of the last moments; they go slowly, when the highest demand of a whole
minute needs fewer, and at most half of them at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mljupyter.spec import AutoscalePolicy

UP_SECONDS = 2.0
DOWN_SECONDS = 60.0


@dataclass(frozen=True)
class Sample:
    """Requests that ran or waited at a time, in seconds on the caller's clock."""

    time: float
    demand: float


@dataclass(frozen=True)
class Decision:
    """How many replicas there should be, and why."""

    replicas: int
    reason: str


def replicas_needed(target_rps: float, request_time: float, max_concurrent: int = 1, utilization: float = 0.7) -> int:
    """Return how many replicas a load needs (Azure ML v1: the documented formula).

    Parameters:
        target_rps: requests per second.
        request_time: seconds that one request takes.
        max_concurrent: requests that a replica runs at once.
        utilization: which part of the replicas should be busy, above 0 and at most 1.

    Raises:
        ValueError: when a value is out of its range.

    Example:
        >>> replicas_needed(20, 10)
        286

    """
    if target_rps < 0 or request_time < 0 or max_concurrent < 1 or not 0 < utilization <= 1:
        raise ValueError(
            f"target_rps {target_rps} and request_time {request_time} must not be negative, max_concurrent "
            f"{max_concurrent} at least 1, utilization {utilization} above 0 and at most 1"
        )
    return max(1, _ceil(target_rps * request_time / utilization / max_concurrent))


def decide(
    samples: Sequence[Sample], current: int, policy: AutoscalePolicy, max_concurrent: int, now: float
) -> Decision:
    """Return how many replicas there should be now.

    Parameters:
        samples: what was measured, oldest first, on the clock of `now`.
        current: replicas wanted so far.
        policy: bounds and target.
        max_concurrent: requests that a replica runs at once.
        now: the time, in seconds.

    """
    bounded = min(max(current, policy.min_replicas), policy.max_replicas)
    if bounded != current:
        return Decision(bounded, f"the bounds are {policy.min_replicas} to {policy.max_replicas}")
    recent = [sample.demand for sample in samples if now - UP_SECONDS <= sample.time <= now]
    up = _needed(max(recent, default=0.0), policy, max_concurrent)
    if up > current:
        return Decision(up, f"{max(recent):.1f} requests run or wait: {current} replicas are too few")
    minute = [sample.demand for sample in samples if now - DOWN_SECONDS <= sample.time <= now]
    if not minute or samples[0].time > now - DOWN_SECONDS:
        return Decision(current, "not yet a minute measured")
    down = max(_needed(max(minute), policy, max_concurrent), math.ceil(current / 2))
    if down < current:
        return Decision(down, f"no more than {max(minute):.1f} requests ran or waited during the last minute")
    return Decision(current, "demand and replicas match")


def _needed(demand: float, policy: AutoscalePolicy, max_concurrent: int) -> int:
    wanted = _ceil(demand / (policy.target_utilization / 100) / max_concurrent)
    return min(max(wanted, policy.min_replicas), policy.max_replicas)


def _ceil(value: float) -> int:
    """Return the next whole number, without being misled by the last digits of a division."""
    return math.ceil(round(value, 9))
