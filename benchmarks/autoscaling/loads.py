"""The loads: requests per second over time, and how long requests take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Load:
    """A load. `rate` gives requests per second for an array of times in seconds, `durations` draws service times.

    `step` is the length of a step of the simulation in seconds.
    """

    name: str
    title: str
    seconds: float
    rate: Callable[[Numbers], Numbers]
    durations: Callable[[np.random.Generator, int], Numbers]
    most_replicas: int = 100
    step: float = 0.1


def steady(seconds: float) -> Callable[[np.random.Generator, int], Numbers]:
    """Return durations that vary little: a gamma distribution with this mean and a quarter of it as deviation."""
    return lambda chance, count: chance.gamma(16, seconds / 16, count)


def heavy_tailed(chance: np.random.Generator, count: int) -> Numbers:
    """Draw from a Pareto distribution: most take 0.1 s, the mean is 0.3 s, one in a thousand takes over 10 s."""
    return np.minimum(0.1 * (1 + chance.pareto(1.5, count)), 60.0)


def _step(times: Numbers) -> Numbers:
    return np.where((times >= 300) & (times < 900), 100.0, 2.0)


def _ramp(times: Numbers) -> Numbers:
    return np.interp(times, [0, 300, 900, 1200, 1500], [2, 2, 150, 150, 2])


def _day(times: Numbers) -> Numbers:
    """A day of four hours: quiet at night, two peaks."""
    phase = times / 14_400 * 2 * np.pi
    return np.maximum(60 - 50 * np.cos(phase) + 15 * np.sin(3 * phase), 1.0)


def _bursts(times: Numbers) -> Numbers:
    """Every three minutes, twenty seconds of ten times the load."""
    return np.where((times > 180) & (times % 180 < 20), 100.0, 10.0)


def _short(times: Numbers) -> Numbers:
    return 2.5 * _step(times)


def _rare(times: Numbers) -> Numbers:
    """A request now and then."""
    return np.full_like(times, 0.1)


LOADS = (
    Load("step", "A step: 2 → 100 → 2 requests/s", 2400, _step, steady(0.2)),
    Load("ramp", "A ramp: 2 → 150 → 2 requests/s", 2400, _ramp, steady(0.2)),
    Load("day", "A day (in four hours), 5 to 120 requests/s", 14_400, _day, steady(0.2)),
    Load("bursts", "Bursts: 20 s of 100 requests/s every 3 min", 2400, _bursts, steady(0.2)),
    Load(
        "short",
        "Short requests (20 ms), 5 → 250 → 5/s",
        2400,
        lambda times: 2.5 * _step(times),
        steady(0.02),
        step=0.02,
    ),
    Load("long", "Long requests (10 s): 0.1 → 5 → 0.1/s", 2400, lambda times: _step(times) / 20, steady(10.0)),
    Load("tail", "Heavy-tailed durations, 2 → 100 → 2/s", 2400, _step, heavy_tailed),
    Load("rare", "One request in ten seconds", 2400, _rare, steady(0.2)),
    Load("large", "10,000 replicas: 300 → 30,000 → 300/s", 1500, lambda times: 300 * _step(times), steady(0.2), 10_000),
)
