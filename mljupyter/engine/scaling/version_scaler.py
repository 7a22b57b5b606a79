"""The autoscaling state of one version: measured demand in, the number of replicas out."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mljupyter.engine.scaling.autoscaling import Decision, Sample, decide, look_every
from mljupyter.engine.scaling.capacity import Claim
from mljupyter.engine.scaling.demand import MEAN_SECONDS, Reading, asked, demand
from mljupyter.engine.scaling.window import Samples
from mljupyter.spec import AutoscalePolicy, VersionSpec

ASLEEP_EVERY = 0.25
"""Seconds between two readings of a version without replicas."""
_FEWEST_READINGS = 2


@dataclass
class VersionScaler:
    """The demand for one autoscaled version, and the number of replicas that follows from it.

    All times are in seconds on the caller's clock.

    Parameters:
        wanted: the desired number of replicas so far.
        look_at: the time of the next reading.
        asked_at: the time of the last request.

    """

    wanted: int
    look_at: float
    asked_at: float
    _samples: Samples = field(default_factory=Samples)
    _readings: dict[str, deque[Reading]] = field(default_factory=dict)

    @classmethod
    def begin(cls, policy: AutoscalePolicy, running: int, now: float) -> VersionScaler:
        """Return the scaler of a version that has `running` replicas, within the bounds of its policy."""
        return cls(min(max(running, policy.min_replicas), policy.max_replicas), now, now)

    def keep_awake(self, spec: VersionSpec, now: float, *, proven: bool) -> int:
        """Return the number of replicas: at least one for a mirror, and until one was ready.

        The idle time begins when the version can answer requests.
        """
        if not proven:
            self.asked_at = now
        if not proven or spec.mirror_percentile:
            self.wanted = max(self.wanted, 1)
        return self.wanted

    def rests(self, policy: AutoscalePolicy) -> bool:
        """Return whether only another request can change the number: it is the minimum, and none is on its way."""
        if self.wanted != policy.min_replicas:
            return False
        return not self.wanted or (
            len(self._samples.listed()) > 1 and not any(asked(kept) for kept in self._readings.values())
        )

    def rested_until(self, time: float, policy: AutoscalePolicy) -> None:
        """Record that nothing has changed until a time, as readings until then would have.

        Parameters:
            time: the time of the last reading before the next one.
            policy: the autoscaling policy.

        """
        if not self.wanted:
            return  # versions without replicas keep no readings
        for kept in self._readings.values():
            if kept and kept[-1].time < time:
                kept.append(replace(kept[-1], time=time))
        self._samples.add(Sample(time, 0.0), policy)

    def look(
        self, readings: Mapping[str, Reading], spec: VersionSpec, policy: AutoscalePolicy, now: float
    ) -> Decision | None:
        """Process the readings of one time.

        Parameters:
            readings: the router's readings of the version's clusters, by cluster name; all of the same time.
            spec: the version's spec.
            policy: its autoscaling policy.
            now: the time of the readings.

        Returns:
            The decision when it changes the number of replicas, else None.

        """
        every = look_every(policy) if self.wanted else ASLEEP_EVERY
        self.look_at = next_look(now, every)
        present = sum(reading.present for reading in readings.values())
        if not readings or not (self.wanted or present):
            return None
        at = next(iter(readings.values())).time
        if self._measure(readings, policy, at) < present:
            self.look_at = next_look(now, every / 2)  # possibly a random deviation: read again sooner
        idle = 0.0 if spec.mirror_percentile else at - self.asked_at
        concurrent = spec.limits.max_concurrent_requests
        decision = decide(self._samples.listed(), self.wanted, policy, concurrent, at, idle)
        if decision.replicas == self.wanted:
            return None
        self.wanted = decision.replicas
        if not self.wanted:
            self._fall_asleep(at)
        return decision

    def _measure(self, readings: Mapping[str, Reading], policy: AutoscalePolicy, now: float) -> float:
        measured = 0.0
        for name, reading in readings.items():
            kept = self._readings.setdefault(name, deque())
            if not kept or reading.count < kept[-1].count:
                # This is the first reading of this controller or of a router. The time before it is unknown, and counts
                # as quiet: a single request adds no replica, several requests do.
                kept.clear()
                kept.append(replace(reading, time=reading.time - look_every(policy), active=0, again=0))
            kept.append(reading)
            while len(kept) > _FEWEST_READINGS and kept[0].time < now - MEAN_SECONDS:
                kept.popleft()
            measured += demand(kept, self._samples.earlier_mean)
            if asked(kept):
                self.asked_at = now
        self._samples.add(Sample(now, measured), policy)
        return measured

    def _fall_asleep(self, now: float) -> None:
        """Read more often, and forget earlier samples, so that only new requests wake the version."""
        self.look_at = next_look(now, ASLEEP_EVERY)
        self._samples = Samples()
        for kept in self._readings.values():
            while len(kept) > 1:
                kept.popleft()


def next_look(now: float, every: float) -> float:
    """Return the time of the next reading. Versions with the same period share readings, at the cost of one."""
    return (math.floor(now / every) + 1) * every


def claim_of(endpoint: str, version: str, spec: VersionSpec, wanted: int, running: int) -> Claim:
    """Return the claim of a version on its machine. A mirror always keeps one replica: copies wake no version."""
    least = max(spec.scaling.least_replicas, 1 if spec.mirror_percentile else 0)
    return Claim((endpoint, version), wanted, min(least, wanted), running, spec.resources)
