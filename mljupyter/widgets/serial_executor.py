"""One thread for each widget, on which everything it does happens, one thing after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from weakref import WeakMethod

Job = Callable[[], None]


class Worker:
    """Runs jobs in the order they come in; the thread ends when the widget is closed.

    Handlers of widget messages run on whatever thread the kernel chooses, also while a cell runs, and at the same time
    as others. They only put jobs here, so that a widget's state is never touched by two threads.

    Parameters:
        name: of the thread, as it is shown in a dump of a stuck kernel.
        failed: gets what a job raised; the next job runs all the same.

    """

    def __init__(self, name: str, failed: Callable[[Exception], None]) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._failed = WeakMethod(failed)  # a forgotten widget is to be collected
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Run a job after those that came before."""
        self._jobs.put(job)

    def close(self) -> None:
        """End the thread after the jobs that wait."""
        self._jobs.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait until the jobs put so far are done; return whether they are."""
        done = threading.Event()
        self.put(done.set)
        return done.wait(seconds)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 (the widget shows it)
                failed = self._failed()
                if failed is not None:
                    failed(error)
            del job
