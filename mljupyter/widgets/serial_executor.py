"""Serial executor: one thread for each widget, which runs its jobs one after the other."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from weakref import WeakMethod

from mljupyter.errors import said_of

log = logging.getLogger(__name__)

Job = Callable[[], None]


class Worker:
    """Runs jobs in their order; the thread ends when the widget is closed.

    Handlers of widget messages run on any thread of the kernel, also while a cell runs, and concurrently. They only add
    jobs here, so that two threads never access a widget's state.

    Parameters:
        name: the thread's name, for stack dumps of a kernel.
        failed: called with the exception of a job; the next job runs nevertheless, also if `failed` raises an error.

    """

    def __init__(self, name: str, failed: Callable[[Exception], None]) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._failed = WeakMethod(failed)  # allow garbage collection of an unused widget
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Add a job to the queue."""
        self._jobs.put(job)

    def close(self) -> None:
        """End the thread after the queued jobs."""
        self._jobs.put(None)

    def wait(self, seconds: float) -> bool:
        """Wait until the queued jobs are done; return whether they are."""
        done = threading.Event()
        self.put(done.set)
        return done.wait(seconds)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 (the widget shows it)
                self._say(error)
            del job

    def _say(self, error: Exception) -> None:
        failed = self._failed()
        if failed is None:
            return
        try:
            failed(error)
        except Exception as unsaid:  # noqa: BLE001 (such as a connection that is closed; later jobs run nevertheless)
            log.warning("%s cannot say %s: %s", self._thread.name, said_of(error), said_of(unsaid))
