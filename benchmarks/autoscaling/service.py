"""The simulated service: replicas that take time to start, a queue with a limit of time, replicas that end when idle.

Time goes in steps. In a step requests arrive (Poisson), those that have waited too long are refused, free replicas
take the oldest, each for a time that is drawn for it. Everything in a step is done for all requests at once, so that
ten thousand replicas cost little more than ten.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.autoscaling.loads import Load

WAIT_LIMIT = 0.5
START_SECONDS = 3.0


BOUNDS = np.array([0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
_LONGEST = 120.0


@dataclass(frozen=True)
class Seen:
    """What a policy may see: replicas ready, requests that run and wait, and what has finished so far.

    `finished` counts the requests by the time they took, waiting included: up to each of `BOUNDS`, and above.
    """

    time: float
    ready: int
    present: int
    finished: NDArray[np.int64]
    finished_seconds: float


class Policy(Protocol):
    """Decides on the number of replicas. Called in every step."""

    def wanted(self, seen: Seen) -> int:
        """Return how many replicas there should be."""
        ...


@dataclass
class Course:
    """What happened: totals, and for every second the replicas wanted and the requests that ran or waited."""

    requests: int = 0
    refused: int = 0
    replica_seconds: float = 0.0
    turns: int = 0
    seconds: list[float] = field(default_factory=list)
    replicas: list[int] = field(default_factory=list)
    present: list[int] = field(default_factory=list)


class Service:
    """The replicas and the queue. `free` in a step counts the replicas that become free then."""

    def __init__(self, load: Load, seed: int) -> None:
        self.load = load
        self.step = load.step
        self.chance = np.random.default_rng(seed)
        self.steps = int(load.seconds / load.step)
        self.arrivals = self.chance.poisson(load.rate(np.arange(self.steps) * load.step) * load.step)
        room = self.steps + int(_LONGEST / load.step) + 2
        self.free = np.zeros(room, dtype=np.int64)
        self.done = np.zeros((room, len(BOUNDS) + 1), dtype=np.int64)
        self.took = np.zeros(room)
        self.queue: deque[tuple[int, int]] = deque()  # step of arrival, and how many
        self.starting: deque[tuple[int, int]] = deque()  # step in which they are ready, and how many
        self.ready, self.running, self.refused = 1, 0, 0

    @property
    def waiting(self) -> int:
        return sum(count for _, count in self.queue)

    @property
    def coming(self) -> int:
        return sum(count for _, count in self.starting)

    def go(self, step: int) -> None:
        """Do what happens in a step."""
        self.running -= int(self.free[step])
        while self.starting and self.starting[0][0] <= step:
            self.ready += self.starting.popleft()[1]
        if count := int(self.arrivals[step]):
            self.queue.append((step, count))
        while self.queue and self.ready > self.running:
            self._start(step)
        while self.queue and step - self.queue[0][0] >= WAIT_LIMIT / self.step:
            self.refused += self.queue.popleft()[1]

    def follow(self, wanted: int, step: int) -> None:
        """Start what is missing; stop what is too much: those that start first, then idle ones, none that works."""
        missing = wanted - self.ready - self.coming
        if missing > 0:
            self.starting.append((step + int(START_SECONDS / self.step), missing))
        while missing < 0 and self.starting:
            at, count = self.starting.pop()
            if count > -missing:
                self.starting.append((at, count + missing))
            missing = min(missing + count, 0)
        if missing < 0:
            self.ready = max(wanted, self.running)

    def _start(self, step: int) -> None:
        """Let free replicas take the oldest requests.

        Replicas become free at the ends of steps. A request ends at one or the other end by chance, so that the mean
        is right; one that is shorter than a step may so leave its replica free for others in the same step.
        """
        arrived, there = self.queue.popleft()
        count = min(there, self.ready - self.running)
        if there > count:
            self.queue.appendleft((arrived, there - count))
        durations = self.load.durations(self.chance, count)
        whole = np.floor(durations / self.step + self.chance.random(count)).astype(np.int64)
        ends = np.minimum(step + whole, len(self.free) - 1)
        taking = ends > step
        np.add.at(self.free, ends[taking], 1)
        self.running += int(taking.sum())
        total, seen_at = durations + (step - arrived) * self.step, np.maximum(ends, step + 1)
        np.add.at(self.took, seen_at, total)
        np.add.at(self.done, (seen_at, np.searchsorted(BOUNDS, total)), 1)


def run(load: Load, policy: Policy, seed: int = 1) -> Course:
    """Play a load."""
    service = Service(load, seed)
    course = Course(requests=int(service.arrivals.sum()))
    finished, finished_seconds = np.zeros(len(BOUNDS) + 1, dtype=np.int64), 0.0
    wanted, direction = 1, 0
    for step in range(service.steps):
        service.go(step)
        finished += service.done[step]
        finished_seconds += service.took[step]
        present = service.running + service.waiting
        decided = policy.wanted(Seen(step * load.step, service.ready, present, finished, finished_seconds))
        decided = min(max(decided, 1), load.most_replicas)
        if decided != wanted:
            turned = 1 if decided > wanted else -1
            course.turns += turned != direction and direction != 0
            direction, wanted = turned, decided
        service.follow(wanted, step)
        course.replica_seconds += (service.ready + service.coming) * load.step
        if step % round(1 / load.step) == 0:
            course.seconds.append(step * load.step)
            course.replicas.append(wanted)
            course.present.append(present)
    course.refused = service.refused
    return course
