"""Batches in the worker: the data of several requests are joined for one `run()`, and its result is split again.

Two kinds of scripts support it. If `run()` has an input schema with rows, it gets the rows of all requests in one array
or data frame. If it has no schema and the script declares ``batching = True``, it always gets a list with the data of
each request, and returns a list with one result for each.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from time import perf_counter
from typing import Any, NamedTuple

from mljupyter.scoring.logs.diagnostics import write_record
from mljupyter.scoring.logs.log_context import request_id
from mljupyter.scoring.messages import is_inference
from mljupyter.scoring.protocol import SHARED, Frame
from mljupyter.scoring.worker.inference import Inference
from mljupyter.scoring.worker.request_body import InputError
from mljupyter.scoring.worker.script import Outcome, Script, ScriptError

MAX_FRUITLESS = 3
"""Rows are no longer joined after this many joint runs in a row that failed although their requests succeed alone."""
AS_DECLARED, ON, OFF = 0, 1, 2
"""The batching option of the replica: decided by the script, on, off."""

Answers = Iterator[list[tuple[int, Outcome]]]
"""Groups of (call number, outcome); each group can be sent before the next one is computed."""


class ListLengthError(Exception):
    """The result of `run()` does not have one entry for each request or row."""


class _Rows(NamedTuple):
    """The data of one request: the argument for `run()`, its number of rows, and the kind of `_kind_of`.

    `inference` is the request if it is one of the Open Inference Protocol.
    """

    number: int
    request: str
    value: Any
    entries: int
    kind: Hashable
    inference: Inference | None


def batches_of(script: Script, option: int) -> Callable[[Sequence[Frame]], Answers] | None:
    """Return the function that answers batches for a script; None if each request needs its own `run()`.

    The script's own `batching` beats `option`, except that OFF limits a batch to one request. Raises ScriptError when
    the script declares ``batching = True`` but its `run()` cannot take several requests.
    """
    declared = script.batching
    if declared and script.batchable is None and not script.takes_text_only:
        raise ScriptError(
            "the scoring script says batching = True, but run() cannot take several requests: it needs one parameter "
            "and no request_headers, without a schema or with a NumPy or pandas schema whose rows are free"
        )
    if declared and script.batchable is None:
        return ListBatches(script).answer
    if option == OFF or declared is False or not (declared or option == ON):
        return None
    if script.batchable is None:
        text = "it needs a schema of run() with rows, or batching = True in the script"
        write_record("W", "azmlinfsrv", f"batching is on, but has no effect: {text}")
        return None
    return RowBatches(script, script.batchable).answer


class ListBatches:
    """Batches for a script whose `run()` takes and returns lists."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def answer(self, calls: Sequence[Frame]) -> Answers:
        """Answer the requests of a batch together or, where that fails, one by one."""
        script = self._script
        data, refused = [], []
        for call in calls:
            try:
                (argument,) = script.arguments(call.head, call.body).items()
                data.append((call.call, request_id.get(), argument))
            except InputError as error:
                refused.append((call.call, script.refused(error)))
        if refused:
            yield refused
        if len(data) > 1:
            request_id.set(data[0][1])  # its output belongs to all requests; the first one's id stands for them
            start = perf_counter()
            try:
                results = self._run([argument for _, _, argument in data])
            except BaseException as error:  # noqa: BLE001 (user code; each request is run again below)
                _note_failure(len(data), error)
            else:
                seconds = perf_counter() - start
                yield _shared([(data[i][0], script.succeeded(result, seconds)) for i, result in enumerate(results)])
                return
        for number, request, argument in data:
            request_id.set(request)
            start = perf_counter()
            try:
                (result,) = self._run([argument])
            except BaseException as error:  # noqa: BLE001 (user code)
                yield [(number, script.failed(error, perf_counter() - start))]
            else:
                yield [(number, script.succeeded(result, perf_counter() - start))]

    def _run(self, arguments: list[tuple[str, Any]]) -> Sequence[Any]:
        results = self._script.run(**{arguments[0][0]: [value for _, value in arguments]})
        if not isinstance(results, (list, tuple)) or len(results) != len(arguments):
            got = f"{len(results)} results" if isinstance(results, (list, tuple)) else f"a {type(results).__name__}"
            raise ListLengthError(
                f"run() of a script with batching = True must return a list with one result for each of its "
                f"{len(arguments)} inputs; it returned {got}"
            )
        return results


class RowBatches:
    """Batches for a script whose schema has rows.

    A result is split only if it is certain to have one entry for each row: its length equals the number of rows, and
    did so in an earlier run with another number of rows. Otherwise ``[labels, probabilities]`` for two rows would be
    taken for two answers. If the joint run fails or its result cannot be split, the requests are run one by one; if
    that keeps happening, rows are no longer joined.
    """

    def __init__(self, script: Script, parameter: str) -> None:
        self._script = script
        self._parameter = parameter
        self._fits: set[int] = set()  # numbers of rows for which the result had as many entries
        self._fruitless = 0

    def answer(self, calls: Sequence[Frame]) -> Answers:
        """Answer the requests of a batch: in one run where their rows can be joined, the others one by one."""
        alone: list[_Rows] = []
        kinds: dict[Hashable, list[_Rows]] = {}
        refused = []
        for call in calls:
            rows = self._rows(call)
            if isinstance(rows, _Rows):
                kinds.setdefault(rows.kind, []).append(rows)
            else:
                refused.append((call.call, rows))
        if refused:
            yield refused
        for group in kinds.values():
            if self._fruitless < MAX_FRUITLESS and group[0].kind is not None and len(group) > 1:
                yield from self._joined(group)
            else:
                alone += group
        for rows in alone:
            yield [(rows.number, self._run_one(rows))]

    def _rows(self, call: Frame) -> _Rows | Outcome:
        script, start = self._script, perf_counter()
        try:
            if call.head and is_inference(call.head):
                inference = script.inference(call.head, call.body)
                value = inference.arguments[self._parameter]
            else:
                inference = None
                value = script.arguments(call.head, call.body)[self._parameter]
                value = script.convert(self._parameter, value)
        except InputError as error:
            return script.refused(error)
        except BaseException as error:  # noqa: BLE001 (the schema's own errors, which run() would have raised)
            return script.failed(error, perf_counter() - start)
        count, kind = _kind_of(value)
        return _Rows(call.call, request_id.get(), value, count, kind, inference)

    def _joined(self, group: list[_Rows]) -> Answers:
        if not self._fits:
            yield [(group[0].number, self._run_one(group[0]))]
            group = group[1:]
        total = sum(rows.entries for rows in group)
        if len(group) > 1 and self._fits - {total} and self._fruitless < MAX_FRUITLESS:
            together = self._run_together(group, total)
            if together:
                yield together
                return
            outcomes = []
            for rows in group:
                outcomes.append(self._run_one(rows))
                yield [(rows.number, outcomes[-1])]
            self._count_fruitless(outcomes)
            return
        for rows in group:
            yield [(rows.number, self._run_one(rows))]

    def _run_together(self, group: list[_Rows], total: int) -> list[tuple[int, Outcome]]:
        """Run the requests together and return their answers; an empty list if that failed."""
        request_id.set(group[0].request)  # its output belongs to all requests; the first one's id stands for them
        start = perf_counter()
        try:
            result = self._script.run(**{self._parameter: _join([rows.value for rows in group])})
            parts = _divide(result, [rows.entries for rows in group])
        except BaseException as error:  # noqa: BLE001 (user code; each request is run again)
            _note_failure(len(group), error)
            return []
        seconds = perf_counter() - start
        self._fits.add(total)
        self._fruitless = 0
        answers = [
            (rows.number, self._script.succeeded(part, seconds, rows.inference))
            for rows, part in zip(group, parts)  # noqa: B905 (Python 3.9 has no strict)
        ]
        return _shared(answers)

    def _run_one(self, rows: _Rows) -> Outcome:
        request_id.set(rows.request)
        start = perf_counter()
        try:
            result = self._script.run(**{self._parameter: rows.value})
        except BaseException as error:  # noqa: BLE001 (user code)
            return self._script.failed(error, perf_counter() - start)
        seconds = perf_counter() - start
        if _length(result) == rows.entries:
            self._fits.add(rows.entries)
        elif self._fruitless < MAX_FRUITLESS:
            self._end_joining("the result of run() does not have one entry for each row")
        return self._script.succeeded(result, seconds, rows.inference)

    def _count_fruitless(self, outcomes: list[Outcome]) -> None:
        if any(status >= 400 for status, *_ in outcomes):
            return  # one of the requests caused the failure
        self._fruitless += 1
        if self._fruitless == MAX_FRUITLESS:
            self._end_joining(f"joint runs failed {MAX_FRUITLESS} times, while the requests went well one by one")

    def _end_joining(self, reason: str) -> None:
        self._fruitless = MAX_FRUITLESS
        write_record("W", "azmlinfsrv", f"batching ends, and each request is run by itself: {reason}")


def _note_failure(count: int, error: BaseException) -> None:
    text = f"a run() for {count} requests failed ({type(error).__name__}); they are run one by one"
    write_record("D", "azmlinfsrv", text)


def _shared(answers: list[tuple[int, Outcome]]) -> list[tuple[int, Outcome]]:
    """Mark all answers but the first as shared, so that the time of the run is counted once."""
    return answers[:1] + [(number, (outcome[0], outcome[1] | SHARED, *outcome[2:])) for number, outcome in answers[1:]]


def _kind_of(value: Any) -> tuple[int, Hashable]:
    """Return the number of rows, and a kind: values of equal kinds can be joined, those of kind None cannot."""
    kind = type(value)
    count = _length(value)
    if not count:
        return 0, None  # an empty value often fails alone, but would not when joined with others
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return count, (value.dtype, value.shape[1:])
    if kind.__name__ == "DataFrame" and type(value.index).__name__ == "RangeIndex":
        return count, (tuple(value.columns), tuple(value.dtypes), value.index.start, value.index.step)
    return count, None


def _join(values: list[Any]) -> Any:
    if hasattr(values[0], "iloc"):
        import pandas

        return pandas.concat(values, ignore_index=True)
    import numpy

    return numpy.concatenate(values)


def _divide(result: Any, counts: list[int]) -> list[Any]:
    """Split a result into parts with these numbers of entries; raise ListLengthError if the total differs."""
    if _length(result) != sum(counts):
        raise ListLengthError("the result does not have one entry for each row")
    framed = hasattr(result, "iloc")
    numbered = framed and type(result.index).__name__ == "RangeIndex"
    parts, start = [], 0
    for count in counts:
        part = (result.iloc if framed else result)[start : start + count]
        parts.append(part.reset_index(drop=True) if numbered else part)
        start += count
    return parts


def _length(value: Any) -> int | None:
    """Return the number of entries of a list, tuple, array, series or frame; None for anything else."""
    if isinstance(value, (list, tuple)):
        return len(value)
    shape = getattr(value, "shape", None)
    return shape[0] if isinstance(shape, tuple) and shape and isinstance(shape[0], int) else None
