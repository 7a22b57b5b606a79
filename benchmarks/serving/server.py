"""A server that runs, whichever it is: where to send what, how to read the answer, which processes it is made of."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from benchmarks.serving.environments import UnavailableError
from benchmarks.serving.exchange import Request
from benchmarks.serving.load import LONGEST_ANSWER
from benchmarks.serving.workloads import Workload

READY_SECONDS = 120.0
_TRY_SECONDS = 2.0  # a request that comes too early may never be answered
_BETWEEN_TRIES = 0.02


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        url: the scoring URL.
        request: that of the workload, as this server wants it.
        read: from the body of an answer to its numbers.
        began: when its start began, on the clock of `time.perf_counter`.
        processes: returns the processes it is made of.
        ended: returns why it ended, or None while it runs.

    """

    url: str
    request: Request
    read: Callable[[Any], Any]
    began: float
    processes: Callable[[], list[psutil.Process]]
    ended: Callable[[], str | None]

    def ask(self, within: float = LONGEST_ANSWER) -> httpx.Response:
        """Send one request, and wait some seconds for its answer."""
        # Without verify=False httpx reads all root certificates each time, which takes processor time from the server.
        sent = self.request
        return httpx.post(
            self.url, content=sent.body, headers=sent.headers, timeout=within, trust_env=False, verify=False
        )

    def check(self, workload: Workload, within: float = LONGEST_ANSWER) -> str | None:
        """Send one request; return what is wrong with the answer, or None when it is right."""
        try:
            response = self.ask(within)
            if response.status_code != httpx.codes.OK:
                return f"status {response.status_code}: {response.text[:200]}"
            answer = self.read(response.content)
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            return f"{type(error).__name__}: {error}"
        return None if workload.right(answer) else f"wrong answer: {str(answer)[:200]}"

    def wait(self, workload: Workload) -> float:
        """Return the seconds from the start to the first right answer.

        Raises:
            UnavailableError: when the server ends, or gives no right answer in time.

        """
        while (wrong := self.check(workload, _TRY_SECONDS)) is not None:
            if (reason := self.ended()) is not None:
                raise UnavailableError(f"it ended: {reason}")
            if time.perf_counter() - self.began > READY_SECONDS:
                raise UnavailableError(f"no right answer within {READY_SECONDS:.0f} s; the last: {wrong}")
            time.sleep(_BETWEEN_TRIES)
        return time.perf_counter() - self.began
