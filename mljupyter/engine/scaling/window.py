"""A sliding window of demand samples: all recent ones, and a coarse summary of the time before."""

from __future__ import annotations

from collections import deque

from mljupyter.engine.scaling.autoscaling import Sample, recent_seconds
from mljupyter.spec import AutoscalePolicy

_MOST = 120  # samples of the time before the last moments, however long it is


class Samples:
    """Samples of demand, oldest first, for `autoscaling.decide`. Their number is limited for any length of time."""

    def __init__(self) -> None:
        self._earlier: deque[Sample] = deque()
        self._recent: deque[Sample] = deque()
        self._began = 0.0

    def add(self, sample: Sample, policy: AutoscalePolicy) -> None:
        """Add a sample, which is newer than all others, and drop samples that the policy does not need any more."""
        self._recent.append(sample)
        while self._recent[0].time < sample.time - recent_seconds(policy):
            self._keep(self._recent.popleft(), policy.scale_down_seconds / _MOST)
        # One sample older than the window stays, to show that the whole window was measured.
        while len(self._earlier) > 1 and self._earlier[1].time <= sample.time - policy.scale_down_seconds:
            self._earlier.popleft()

    @property
    def earlier_mean(self) -> float:
        """The mean demand without the last reading, which may be the begin of a load step; 0 when unknown."""
        earlier = self.listed()[:-1]
        return sum(sample.demand for sample in earlier) / len(earlier) if earlier else 0.0

    def listed(self) -> list[Sample]:
        """Return all samples."""
        return [*self._earlier, *self._recent]

    def _keep(self, sample: Sample, grain: float) -> None:
        """Store a sample, merged with those right before it: the highest demand at the latest time."""
        if self._earlier and sample.time - self._began < grain:
            self._earlier[-1] = Sample(sample.time, max(sample.demand, self._earlier[-1].demand))
        else:
            self._began = sample.time
            self._earlier.append(sample)
