"""The autoscaling policy: a pure function of recent demand (Azure ML v1: AksWebservice, autoscaling).

Demand is the number of requests that run or wait. Scaling up is immediate and follows the highest demand of the last
moments. Scaling down is slow: when the highest demand of a whole minute needs fewer replicas, at most half of them are
stopped at a time. The last replica is stopped only if the minimum is zero and there was no request for long enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mljupyter.spec import AutoscalePolicy

UP_SECONDS = 2.0
_TOLERANCE = 1.1  # demand within this factor of the target changes nothing


@dataclass(frozen=True)
class Sample:
    """The number of requests that ran or waited at a time, which is in seconds on the caller's clock."""

    time: float
    demand: float


@dataclass(frozen=True)
class Decision:
    """The desired number of replicas and the reason: the demand that it is based on, and the formula's result."""

    replicas: int
    reason: str
    demand: float = 0.0
    needed: int = 0


def replicas_needed(target_rps: float, request_time: float, max_concurrent: int = 1, utilization: float = 0.7) -> int:
    """Return the number of replicas that a load needs (Azure ML v1: the documented formula).

    Parameters:
        target_rps: requests per second.
        request_time: the duration of one request in seconds.
        max_concurrent: the concurrent requests of a replica.
        utilization: the desired busy share of the replicas, above 0 and at most 1.

    Raises:
        ValueError: when a value is out of its range.

    Example:
        >>> replicas_needed(20, 10)
        286

    """
    for name, value in (("target_rps", target_rps), ("request_time", request_time)):
        if not value >= 0:
            raise ValueError(f"{name} is {value}: it must be a number from 0")
    if not max_concurrent >= 1:
        raise ValueError(f"max_concurrent is {max_concurrent}: it must be a number from 1")
    if not 0 < utilization <= 1:
        raise ValueError(f"utilization is {utilization}: it must be a number above 0 and at most 1")
    return max(1, _ceil(target_rps * request_time / utilization / max_concurrent))


def look_every(policy: AutoscalePolicy) -> float:
    """Return the interval of measurements in seconds: half a refresh period, so that a load step is seen within one."""
    return policy.refresh_seconds / 2


def recent_seconds(policy: AutoscalePolicy) -> float:
    """Return the time in seconds for which a demand counts for scaling up."""
    return max(UP_SECONDS, policy.refresh_seconds)


def decide(
    samples: Sequence[Sample],
    current: int,
    policy: AutoscalePolicy,
    max_concurrent: int,
    now: float,
    idle_seconds: float = 0.0,
) -> Decision:
    """Return the desired number of replicas.

    Parameters:
        samples: the measurements, oldest first, on the clock of `now`.
        current: the desired number so far.
        policy: minimum, maximum, target and times.
        max_concurrent: the concurrent requests of a replica.
        now: the current time in seconds.
        idle_seconds: the seconds since the last request.

    """
    recent = _highest(samples, now - recent_seconds(policy), now)
    up = _needed(recent, policy, max_concurrent)
    within = _bounded(max(up, current), policy)
    if current > policy.max_replicas or current < policy.min_replicas:
        bounds = f"the bounds are {policy.min_replicas} to {policy.max_replicas}"
        return Decision(within, bounds, recent, up)
    if within > current and _bounded(_needed(recent / _TOLERANCE, policy, max_concurrent), policy) > current:
        few = f"{current} replica{'s are' if current > 1 else ' is'} too few" if current else "there is no replica"
        return Decision(within, f"{recent:.1f} requests run or wait: {few}", recent, up)
    if policy.min_replicas == 0 and current and idle_seconds >= policy.scale_to_zero_seconds:
        return Decision(0, f"no request for {idle_seconds:.0f} s", 0.0, 0)
    window = policy.scale_down_seconds
    if not samples or samples[0].time > now - window:
        return Decision(current, f"not yet {window} s measured", recent, up)
    highest = _highest(samples, now - window, now)
    needed = _needed(highest, policy, max_concurrent)
    down = max(_bounded(needed, policy), math.ceil(current / 2))
    if down < current and _bounded(_needed(highest * _TOLERANCE, policy, max_concurrent), policy) < current:
        return Decision(
            down, f"no more than {highest:.1f} requests ran or waited during the last {window} s", highest, needed
        )
    return Decision(current, "demand and replicas match", recent, up)


def _highest(samples: Sequence[Sample], since: float, until: float) -> float:
    return max((sample.demand for sample in samples if since <= sample.time <= until), default=0.0)


def _needed(demand: float, policy: AutoscalePolicy, max_concurrent: int) -> int:
    """Return the number of replicas for a demand at the policy's target utilization; at least one for any demand."""
    return max(_ceil(demand / (policy.target_utilization / 100) / max_concurrent), 1 if demand > 0 else 0)


def _bounded(replicas: int, policy: AutoscalePolicy) -> int:
    return min(max(replicas, policy.min_replicas), policy.max_replicas)


def _ceil(value: float) -> int:
    """Return the next integer, tolerant of rounding errors of a division."""
    return math.ceil(round(value, 9))
