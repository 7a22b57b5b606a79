"""The policies: ours, Knative's pod autoscaler and Ray Serve's, each with its default parameters.

Knative's and Ray Serve's are written anew from what their sources do: `pkg/autoscaler/scaling/autoscaler.go` and
`config/core/configmaps/autoscaler.yaml` of knative/serving; `python/ray/serve/autoscaling_policy.py` and `config.py` of
ray-project/ray. All see requests that run and requests that wait; a replica runs one at a time.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import islice

import numpy as np

from benchmarks.autoscaling.service import BOUNDS, Seen
from mljupyter.engine.scaling.autoscaling import Sample, decide, look_every
from mljupyter.engine.scaling.demand import MEAN_SECONDS, Reading, demand
from mljupyter.engine.scaling.window import Samples
from mljupyter.spec import AutoscalePolicy


class Ours:
    """The policy of `mljupyter.engine`, by the same code as the controller runs."""

    title = "mljupyter"

    def __init__(self, most_replicas: int, step: float) -> None:
        self._step = step
        self._policy = AutoscalePolicy(max_replicas=most_replicas)
        self._every = round(look_every(self._policy) / self._step)
        self._samples = Samples()
        self._readings: deque[Reading] = deque(maxlen=round(MEAN_SECONDS / look_every(self._policy)))
        self._steps = 0
        self._wanted = 1

    def wanted(self, seen: Seen) -> int:
        """Look twice a second, and decide."""
        self._steps += 1
        if self._steps % self._every:
            return self._wanted
        counts = np.cumsum(seen.finished)
        finished = tuple(zip([*BOUNDS.tolist(), math.inf], counts.tolist(), strict=True))
        self._readings.append(Reading(seen.time, seen.present, 0, finished, seen.finished_seconds))
        self._samples.add(Sample(seen.time, demand(self._readings, self._samples.earlier_mean)), self._policy)
        decision = decide(self._samples.listed(), self._wanted, self._policy, 1, seen.time)
        self._wanted = decision.replicas
        return self._wanted


class Knative:
    """The KPA: mean concurrency over a stable and a panic window, every two seconds."""

    title = "Knative (KPA)"
    TICK, STABLE, PANIC, THRESHOLD = 2.0, 60, 6, 2.0
    TARGET, UP_RATE, DOWN_RATE = 0.7, 1000.0, 2.0

    def __init__(self, most_replicas: int, step: float) -> None:
        self._step = step
        self._most = most_replicas
        self._second: list[int] = []
        self._means: deque[float] = deque(maxlen=self.STABLE)
        self._steps = 0
        self._panic_since: float | None = None
        self._most_in_panic = 0
        self._wanted = 1

    def wanted(self, seen: Seen) -> int:
        """Take the mean of each second, and decide every two."""
        self._second.append(seen.present)
        self._steps += 1
        if len(self._second) == round(1 / self._step):
            self._means.append(sum(self._second) / len(self._second))
            self._second = []
        if self._steps % round(self.TICK / self._step) == 0:
            self._wanted = self._decide(seen.time, max(seen.ready, 1))
        return self._wanted

    def _decide(self, now: float, ready: int) -> int:
        stable = self._needed(sum(self._means) / len(self._means))
        last = list(islice(reversed(self._means), self.PANIC))
        panic = self._needed(sum(last) / len(last))
        least, most = ready // self.DOWN_RATE, math.ceil(ready * self.UP_RATE)
        if panic / ready >= self.THRESHOLD:
            self._panic_since = now
        elif self._panic_since is not None and self._panic_since + self.STABLE < now:
            self._panic_since, self._most_in_panic = None, 0
        bounded = int(min(max(stable, least), most))
        if self._panic_since is not None:
            self._most_in_panic = max(self._most_in_panic, bounded, int(min(max(panic, least), most)))
            bounded = self._most_in_panic
        return min(max(bounded, 1), self._most)

    def _needed(self, concurrency: float) -> int:
        return math.ceil(concurrency / self.TARGET)


class RayServe:
    """Ray Serve: requests over target, once the same direction has been asked for long enough."""

    title = "Ray Serve"
    TARGET, LOOK_BACK, PUSH_EVERY = 2.0, 30.0, 10.0
    UP_DELAY, DOWN_DELAY, UP_FACTOR, DOWN_FACTOR, LOOP = 30.0, 600.0, 1.0, 1.0, 0.1

    def __init__(self, most_replicas: int, step: float) -> None:
        self._step = step
        self._most = most_replicas
        self._present: deque[int] = deque(maxlen=round(self.LOOK_BACK / self._step))
        self._mean = 0.0
        self._steps = 0
        self._in_a_row = 0
        self._wanted = 1

    def wanted(self, seen: Seen) -> int:
        """Report the mean every ten seconds; decide in every turn of the loop."""
        self._present.append(seen.present)
        self._steps += 1
        if self._steps % round(self.PUSH_EVERY / self._step) == 0:
            self._mean = sum(self._present) / len(self._present)
        if self._steps % max(round(self.LOOP / self._step), 1):
            return self._wanted
        desired = self._desired(max(seen.ready, 1))
        if desired > self._wanted:
            self._in_a_row = max(self._in_a_row, 0) + 1
            if self._in_a_row > int(self.UP_DELAY / self.LOOP):
                self._in_a_row, self._wanted = 0, desired
        elif desired < self._wanted:
            self._in_a_row = min(self._in_a_row, 0) - 1
            if self._in_a_row < -int(self.DOWN_DELAY / self.LOOP):
                self._in_a_row, self._wanted = 0, desired
        else:
            self._in_a_row = 0
        return self._wanted

    def _desired(self, ready: int) -> int:
        exact = self._mean / self.TARGET
        factor = self.UP_FACTOR if exact > ready else self.DOWN_FACTOR
        desired = math.ceil(ready + factor * (exact - ready))
        if math.ceil(exact) < ready == desired:
            desired -= 1
        return min(max(desired, 1), self._most)


class RayServeTuned(RayServe):
    """Ray Serve with a target that fits replicas which run one request at a time. Not a default."""

    title = "Ray Serve, target 0.7"
    TARGET = 0.7


POLICIES = (Ours, Knative, RayServe, RayServeTuned)
