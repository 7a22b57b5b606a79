"""Load of a profile: sends requests and measures the replica at the same time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from mljupyter.client.scorer import Scorer
from mljupyter.engine.scaling.recommender import UsageSample
from mljupyter.exceptions import WebserviceException
from mljupyter.runtimes.base import RuntimeUnavailableError, Usage

SAMPLE_SECONDS = 0.2
_GIB = 1 << 30
_MOST_REMEMBERED = 200_000
_MOST_SHOWN = 500


@dataclass
class Tally:
    """The results of requests: latencies of successful ones in seconds, and counts of the others by status."""

    latencies: list[float] = field(default_factory=list)
    succeeded: int = 0
    failed: dict[int, int] = field(default_factory=dict)
    first_error: str | None = None
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """The number of requests that were sent."""
        return self.succeeded + sum(self.failed.values())


@dataclass(frozen=True)
class Target:
    """The address that requests are sent to."""

    uri: str
    headers: Mapping[str, str]
    timeout: float
    connect: Callable[[], Scorer] = Scorer


def run_load(
    target: Target, rows: Sequence[bytes], *, clients: int, seconds: float, at_least: int, stop: Callable[[], bool]
) -> Tally:
    """Send the rows repeatedly in turn, and return the results.

    Parameters:
        target: the address.
        rows: request bodies.
        clients: number of concurrent requests.
        seconds: duration of the load.
        at_least: the smallest number of requests.
        stop: called before each request; True ends the load.

    """
    tally, lock = Tally(), threading.Lock()
    began = time.monotonic()
    turn = iter(range(1 << 62))

    def send() -> None:
        scorer = target.connect()
        while True:
            with lock:
                number = next(turn)
            if stop() or (number >= at_least and time.monotonic() - began >= seconds):
                break
            start = time.perf_counter()
            try:
                answer = scorer.post(target.uri, rows[number % len(rows)], target.headers, target.timeout)
                status, text = answer.status, answer.text
            except WebserviceException as error:
                status, text = error.status_code or 0, error.message
            elapsed = time.perf_counter() - start
            with lock:
                _count(tally, status, text, elapsed)
        scorer.close()

    threads = [threading.Thread(target=send, name=f"profile-{index}", daemon=True) for index in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.seconds = time.monotonic() - began
    return tally


def _count(tally: Tally, status: int, text: str, elapsed: float) -> None:
    if status == 200:
        tally.succeeded += 1
        if len(tally.latencies) < _MOST_REMEMBERED:
            tally.latencies.append(elapsed)
        return
    tally.failed[status] = tally.failed.get(status, 0) + 1
    tally.first_error = tally.first_error or f"status {status}: {text[:_MOST_SHOWN]}"


class Sampler:
    """Context manager that measures a replica periodically."""

    def __init__(self, measure: Callable[[], Usage]) -> None:
        self._measure = measure
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="profile-sampler", daemon=True)
        self.samples: list[UsageSample] = []

    def __enter__(self) -> Self:
        self._sample()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(SAMPLE_SECONDS):
            self._sample()
        self._sample()

    def _sample(self) -> None:
        try:
            usage = self._measure()
        except RuntimeUnavailableError:
            return  # the death of a replica shows in failed requests
        self.samples.append(UsageSample(time.monotonic(), usage.cpu_seconds, usage.memory_bytes / _GIB))
