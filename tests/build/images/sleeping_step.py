"""A step of a Dockerfile that sleeps for ten minutes, and is found among the processes of this machine."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from mljupyter.runtimes.process import processes
from tests.waiting import wait_until


class SleepingStep:
    """A command for ``RUN`` that no other test runs at the same time."""

    def __init__(self) -> None:
        self.command = f"sleep {600 + secrets.randbelow(10**6) / 1e6:f}"

    def runs(self) -> bool:
        """Return whether the step runs now, inside of any container."""
        found = processes.find(lambda command: "sleep" in command[:1], also_in_containers=True)
        return any(self.command in " ".join(command) for _, command in found)

    @contextmanager
    def cancelling(self) -> Iterator[threading.Event]:
        """Give the block an event that is set as soon as the step runs; afterwards wait until the step has ended."""
        cancel = threading.Event()

        def cancel_when_it_runs() -> None:
            wait_until(self.runs, "the step runs")
            cancel.set()

        watcher = threading.Thread(target=cancel_when_it_runs)
        watcher.start()
        yield cancel
        watcher.join()
        wait_until(lambda: not self.runs(), "the step has ended in the engine")
