"""The recommender: the size of a replica from its usage under load. Pure functions.

Azure: ``Model.profile``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

MOST_CPU = 3.5
MOST_MEMORY_GB = 15.0
LEAST = 0.1
_CPU_HEADROOM = 1.2
_MEMORY_HEADROOM = 1.25  # missing memory kills a replica; a missing core only makes it slow
_WINDOW_SECONDS = 1.0


@dataclass(frozen=True)
class UsageSample:
    """A measurement of a replica: seconds on a monotonic clock, total CPU seconds, memory in GB."""

    at: float
    cpu_seconds: float
    memory_in_gb: float


def peak_cpu(samples: Sequence[UsageSample], window: float = _WINDOW_SECONDS) -> float:
    """Return the highest number of cores used over any `window` seconds, or over the whole time if it was shorter.

    The CPU seconds of an ended process are lost, so a window with a decreasing total is ignored.

    >>> peak_cpu([UsageSample(0, 0, 0), UsageSample(1, 0.5, 0), UsageSample(2, 1.5, 0)])
    1.0
    """
    rates = []
    begin = 0
    for index, sample in enumerate(samples):
        while begin + 1 < index and sample.at - samples[begin + 1].at >= window:
            begin += 1
        elapsed = sample.at - samples[begin].at
        if elapsed >= window:
            rates.append((sample.cpu_seconds - samples[begin].cpu_seconds) / elapsed)
    if not rates and len(samples) > 1 and samples[-1].at > samples[0].at:
        rates.append((samples[-1].cpu_seconds - samples[0].cpu_seconds) / (samples[-1].at - samples[0].at))
    return max(0.0, *rates) if rates else 0.0


def recommended(used_cpu: float, used_memory_in_gb: float) -> tuple[float, float]:
    """Return the recommended CPU and memory for a measured maximum: a fifth more CPU, a quarter more memory.

    They are rounded up to tenths, and within the limits of a profile.

    >>> recommended(0.42, 0.31)
    (0.6, 0.4)
    """
    return _tenths(used_cpu * _CPU_HEADROOM, MOST_CPU), _tenths(used_memory_in_gb * _MEMORY_HEADROOM, MOST_MEMORY_GB)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed (nearest rank).

    >>> percentile([10.0, 20.0, 30.0, 40.0], 50)
    20.0
    """
    if not ordered:
        raise ValueError("there are no values")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _tenths(value: float, most: float) -> float:
    return min(most, max(LEAST, math.ceil(round(value * 10, 6)) / 10))
