"""Progress of a batch: a bar in a notebook, lines elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mljupyter.notebook.views.views import View
from mljupyter.visible import markup

if TYPE_CHECKING:
    from mljupyter.core.batch import Progress

_LEAST_SECONDS = 0.2
_LINES = 10


class ProgressBar(View):
    """A bar with its text; the text says all that the bar does."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def text(self) -> str:
        """Return the counts."""
        return self._progress.text()

    def html(self) -> str:
        """Return the bar and the counts."""
        rows, label = self._progress.rows or 1, markup(self.text())
        ended = self._progress.done + self._progress.failed if self._progress.rows else 1
        bar = f'<progress style="width: 20em; max-width: 100%" aria-label="{label}" max="{rows}" value="{ended}">'
        return f'<div>{bar}</progress> <span role="status">{label}</span></div>'


class ShownProgress:
    """A progress that is shown while it changes.

    Parameters:
        live: whether the front end can replace what is shown; otherwise a line is printed for each tenth.

    """

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._handle: Any = None
        self._last: Progress | None = None
        self._shown_at = 0.0
        self._tenth = -1

    def __call__(self, progress: Progress) -> None:
        """Show a progress, not more often than is of use."""
        self._last = progress
        if self._live:
            if time.monotonic() - self._shown_at >= _LEAST_SECONDS:
                self._show(progress)
            return
        tenth = _LINES * (progress.done + progress.failed) // (progress.rows or 1)
        if tenth != self._tenth:
            self._tenth = tenth
            print(progress.text(), flush=True)

    def end(self) -> None:
        """Show the last progress."""
        if self._live and self._last is not None:
            self._show(self._last)

    def _show(self, progress: Progress) -> None:
        from IPython.display import display

        self._shown_at = time.monotonic()
        if self._handle is None:
            self._handle = display(ProgressBar(progress), display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(ProgressBar(progress))
