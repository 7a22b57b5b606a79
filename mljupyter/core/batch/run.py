"""The run of a batch: parts are sent on threads, failures are repeated, halved or listed, results are kept."""

from __future__ import annotations

import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mljupyter.core.batch.kept import KeptResults, key_of
from mljupyter.core.batch.result import BatchError, BatchResult, FailedRow, Progress
from mljupyter.core.batch.sources import Source, source_of
from mljupyter.core.webservice.aks_endpoint import AksEndpointVersion
from mljupyter.engine.requests.parts import (
    MOST_HOPELESS_ROWS,
    Decision,
    Retry,
    after_failure,
    body_limit,
    parts_at_once,
    reason_at,
    results_of,
    rows_for_part,
    state_of,
)
from mljupyter.exceptions import UserErrorException, WebserviceException
from mljupyter.sizes import readable_size

if TYPE_CHECKING:
    from mljupyter.core.webservice.webservice import Webservice

_LOOK_SECONDS = 2.0  # the number of ready replicas is read this often
_SAMPLE_ROWS = 100
_MOST_THREADS = 64
_MOST_REASON = 300


@dataclass(eq=False)
class _Part:
    start: int
    rows: list[Any]
    attempts: int = 0
    not_before: float = 0.0
    key: str = ""

    def halves(self) -> tuple[_Part, _Part]:
        middle = len(self.rows) // 2
        return _Part(self.start, self.rows[:middle]), _Part(self.start + middle, self.rows[middle:])


class Batch:
    """A batch: `run` sends the rows and returns the results; `result` has those so far, also after an interrupt.

    Parameters:
        service: the web service, or one of its versions.
        data: a DataFrame, an array, a list of rows, or the path of a CSV or Parquet file, or of a directory of them.
        batch_rows: rows in a part; by default about 1 MB of JSON.
        at_once: parts that are sent at the same time; by default as many as the ready replicas can run.
        restart: forget the results that an interrupted run has kept.
        on_progress: called with the `Progress` after each part.

    Raises:
        UserErrorException: the data has no rows that can be sent in parts, or a number is below 1.

    """

    def __init__(
        self,
        service: Webservice | AksEndpointVersion,
        data: Any,
        *,
        batch_rows: int | None = None,
        at_once: int | None = None,
        restart: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        for name, number in (("batch_rows", batch_rows), ("at_once", at_once)):
            if number is not None and number < 1:
                raise UserErrorException(f"{name} is {number}: it must be at least 1.")
        self._asked = service
        self._service: Any = service.endpoint if isinstance(service, AksEndpointVersion) else service
        self._version = service.name if isinstance(service, AksEndpointVersion) else None
        self._source: Source = source_of(data, by_name=self._service.takes_objects())
        self._batch_rows = batch_rows
        self._fixed = at_once
        self._restart = restart
        self._tell = on_progress or (lambda progress: None)
        self._limit = 0
        self._done = self._from_before = 0
        self._width = 1
        self._answered = time.monotonic()
        self._looked = 0.0
        self.result = BatchResult(self._source.rows)

    def run(self) -> BatchResult:
        """Send all rows; return the results in order.

        An interrupt, or a failure of all, ends it: finished parts are kept, and the same batch goes on from there.

        Raises:
            BatchError: the endpoint refuses all requests, cannot be reached, or no row succeeds.
            EncodingError: a column has values without an exact form in JSON.

        """
        self._look()
        self._answered = time.monotonic()
        kept = KeptResults(
            Path(self._service.workspace.directory) / "batches",
            self._service.name,
            state_of(self._service.record.spec.versions, self._version),
            restart=self._restart,
        )
        complete = False
        pool = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="mljupyter-batch")
        try:
            self._send_all(pool, kept)
            complete = True
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            kept.close(complete=complete)
            self.result.failed.sort(key=lambda failed: failed.row)
        return self.result

    def _send_all(self, pool: ThreadPoolExecutor, kept: KeptResults) -> None:
        fresh = self._parts()
        again: deque[_Part] = deque()  # halves and repetitions come before what was not sent yet
        under_way: dict[Future[Any], _Part] = {}
        self._report()
        while True:
            while len(under_way) < self._width and (part := _next(again, fresh)) is not None:
                if (body := self._body(part, kept, again)) is not None:
                    part.attempts += 1
                    under_way[pool.submit(self._asked.run, body)] = part
            if not under_way and not again:
                return
            due = min((part.not_before for part in again), default=float("inf")) - time.monotonic()
            pause = max(0.0, min(due, _LOOK_SECONDS))
            if under_way:
                finished, _ = wait(under_way, pause, FIRST_COMPLETED)
                for future in finished:
                    self._finish(under_way.pop(future), future, kept, again)
            elif pause:
                time.sleep(pause)
            if time.monotonic() - self._looked > _LOOK_SECONDS:
                self._look()

    def _parts(self) -> Iterator[_Part]:
        start = 0
        for rows in self._source.parts(self._batch_rows or self._part_rows()):
            if rows:
                yield _Part(start, rows)
            start += len(rows)

    def _part_rows(self) -> int:
        sample = next(self._source.parts(_SAMPLE_ROWS), [])
        return rows_for_part(len(json.dumps(sample)) / len(sample), self._limit) if sample else 1

    def _body(self, part: _Part, kept: KeptResults, again: deque[_Part]) -> bytes | None:
        """Return the request of a part; None if its results are known, or it is sent in halves or not at all."""
        body = json.dumps({"data": part.rows}, allow_nan=False).encode()
        part.key = key_of(body)
        results = kept.results(part.key)
        if results is not None and len(results) == len(part.rows):
            self._from_before += len(part.rows)
            self._take(part, results)
            return None
        if kept.was_split(part.key) and len(part.rows) > 1:
            again.extendleft(reversed(part.halves()))
            return None
        if len(body) > self._limit:
            if len(part.rows) > 1:
                again.extendleft(reversed(part.halves()))
            else:
                size, limit = readable_size(len(body)), readable_size(self._limit)
                self._fail(part, f"the row has {size} as JSON; a request has at most {limit}")
            return None
        return body

    def _finish(self, part: _Part, future: Future[Any], kept: KeptResults, again: deque[_Part]) -> None:
        status: int | None = None
        try:
            answer = future.result()
        except WebserviceException as error:
            status, reason = error.status_code, _reason(error)
            decision = after_failure(status or 503, part.attempts, len(part.rows), self._idle)
        else:
            self._answered = time.monotonic()
            results = results_of(answer, len(part.rows))
            if results is not None:
                kept.keep(part.key, results)
                self._take(part, results)
                return
            reason = f"the answer has not one result for each row: {json.dumps(answer)[:80]}"
            decision = after_failure(None, part.attempts, len(part.rows), self._idle)
        self._decide(part, decision, reason, status, kept, again)

    def _decide(
        self,
        part: _Part,
        decision: Decision,
        reason: str,
        status: int | None,
        kept: KeptResults,
        again: deque[_Part],
    ) -> None:
        if isinstance(decision, Retry):
            part.not_before = time.monotonic() + decision.after
            again.append(part)
        elif decision == "split":
            kept.keep(part.key, None)
            again.extendleft(reversed(part.halves()))
        elif decision == "fail":
            self._fail(part, reason)
        else:
            raise self._ended(reason, status)

    def _fail(self, part: _Part, reason: str) -> None:
        place = self._source.place(part.start)
        failed = FailedRow(part.start, reason_at(reason, place), place)
        self.result.failed.append(failed)
        self.result.missing -= 1
        if not self._done and len(self.result.failed) >= min(MOST_HOPELESS_ROWS, len(self.result)):
            raise self._ended(
                f"no row succeeds; {len(self.result.failed)} were tried. The last one: {failed.text()}", None
            )
        self._report()

    def _take(self, part: _Part, results: list[Any]) -> None:
        self.result[part.start : part.start + len(results)] = results
        self.result.missing -= len(results)
        self._done += len(results)
        self._report()

    @property
    def _idle(self) -> float:
        """The seconds since the last answer."""
        return time.monotonic() - self._answered

    def _ended(self, reason: str, status: int | None) -> BatchError:
        return BatchError(
            f"The batch has ended after {self._done:,} of {len(self.result):,} rows: {reason}\n"
            "The results so far are kept: the same call goes on from there.",
            self.result,
            status,
        )

    def _look(self) -> None:
        """Read the endpoint again: the number of its replicas, and its limit."""
        self._looked = time.monotonic()
        try:
            self._service.update_deployment_state()
        except WebserviceException:
            if not self._limit:
                raise  # of the first look: there is no such endpoint
        self._limit = body_limit(self._service.record, self._version)
        self._width = self._fixed or parts_at_once(self._service.record, self._version)

    def _report(self) -> None:
        failed = len(self.result.failed)
        self._tell(Progress(len(self.result), self._done, failed, self._from_before, self._width))


def score_batch(
    service: Webservice | AksEndpointVersion,
    data: Any,
    *,
    batch_rows: int | None = None,
    at_once: int | None = None,
    restart: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> BatchResult:
    """Send many rows to a web service in parts, and return the results in order; see `Batch` for the parameters.

    If it is interrupted, the finished parts are kept in the workspace for a week, and the same call goes on from there
    unless code or models of the endpoint have changed.

    Returns:
        A list with one result for each row. Its `failed` lists rows that have failed, with reasons.

    Raises:
        BatchError: the endpoint refuses all requests, cannot be reached, or no row succeeds.
        UserErrorException: the data has no rows that can be sent in parts, or values without an exact form in JSON.

    Example:
        >>> result = score_batch(service, "visits.parquet")                                      # doctest: +SKIP

    """
    options: dict[str, Any] = {"batch_rows": batch_rows, "at_once": at_once, "restart": restart}
    return Batch(service, data, **options, on_progress=on_progress).run()


def _next(again: deque[_Part], fresh: Iterator[_Part]) -> _Part | None:
    """Return the next part to send; None if there is none now."""
    now = time.monotonic()
    for part in itertools.islice(again, len(again)):
        if part.not_before <= now:
            again.remove(part)
            return part
    return next(fresh, None)


def _reason(error: WebserviceException) -> str:
    """Return an error on one line: the status and the message of the answer, without advice for a single request."""
    _, answered, text = error.message.partition(" answered with ")
    text = (text if answered else error.message).partition("\nIts log says more")[0].partition(" First: ")[0]
    status, colon, body = text.partition(": ")
    try:
        message = json.loads(body)["message"]
    except (ValueError, RecursionError, TypeError, KeyError):
        message = body
    line = " ".join(f"{status}{colon}{message}".split())
    return line if len(line) <= _MOST_REASON else line[: _MOST_REASON - 1] + "…"
