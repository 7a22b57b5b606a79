"""Result and progress of batch scoring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mljupyter.exceptions import WebserviceException
from mljupyter.visible import one_line

if TYPE_CHECKING:
    import pandas as pd

_MOST_SHOWN = 20


@dataclass(frozen=True)
class FailedRow:
    """A row without a result.

    Parameters:
        row: its number in the whole input, from 0; that of its result.
        reason: the answer of the endpoint, or the fault of the row.
        place: its place: ``row 7``, or with the file and the number in it, ``row 7 of b.csv``.

    """

    row: int
    reason: str
    place: str = ""

    def text(self) -> str:
        """Return place and reason on one line."""
        return f"{self.place or f'row {self.row}'}: {one_line(self.reason)}"


@dataclass(frozen=True)
class Progress:
    """The progress of a batch, in rows.

    Parameters:
        rows: all rows.
        done: rows with a result.
        failed: rows that have failed.
        kept: those of `done` whose result was kept from a run that was interrupted.
        at_once: parts that are sent at the same time, at most.

    """

    rows: int
    done: int
    failed: int
    kept: int
    at_once: int

    def text(self) -> str:
        """Return the progress as one line.

        Example:
            >>> Progress(rows=2000, done=1000, failed=2, kept=0, at_once=4).text()
            '1,000 of 2,000 rows, 2 failed'

        """
        failed = f", {self.failed:,} failed" if self.failed else ""
        kept = f", {self.kept:,} kept from the run before" if self.kept else ""
        return f"{self.done:,} of {self.rows:,} rows{failed}{kept}"


class BatchResult(list[Any]):
    """The results of a batch: a list with one for each row, in order; None for a row without one.

    Attributes:
        failed: the rows that have failed, with reasons, in order.
        missing: the rows that were not sent, because the batch was interrupted or has ended early.

    """

    def __init__(self, rows: int = 0) -> None:
        super().__init__([None] * rows)
        self.failed: list[FailedRow] = []
        self.missing: int = rows

    @property
    def complete(self) -> bool:
        """Whether each row has a result."""
        return not self.failed and not self.missing

    def frame(self) -> pd.DataFrame:
        """Return a data frame with a row for each row of the input: its result, and the reason of a failure.

        Results that are objects have one column for each of their keys.
        """
        import pandas as pd

        if self and all(isinstance(result, dict) for result in self if result is not None):
            found = pd.DataFrame([result or {} for result in self])
        else:
            found = pd.DataFrame({"result": pd.Series(list(self), dtype=None if self else object)})
        found["error"] = pd.Series({failed.row: failed.reason for failed in self.failed}, dtype=object)
        return found

    def text(self) -> str:
        """Return the summary: counts, and the first rows that have failed."""
        missing = f", {self.missing:,} not sent" if self.missing else ""
        lines = [f"{len(self):,} rows, {len(self.failed):,} failed{missing}"]
        lines += [f"  {item.text()}" for item in self.failed[:_MOST_SHOWN]]
        if len(self.failed) > _MOST_SHOWN:
            lines.append(f"  and {len(self.failed) - _MOST_SHOWN:,} more: .failed lists them")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return super().__repr__() if self.complete else self.text()


class BatchError(WebserviceException):
    """A batch has ended early.

    Attributes:
        result: the results so far; the same call goes on from there.

    """

    def __init__(self, message: str, result: BatchResult, status_code: int | None = None) -> None:
        super().__init__(message, status_code=status_code)
        self.result = result
