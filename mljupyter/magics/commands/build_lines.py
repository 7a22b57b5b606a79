"""Lines about the stages of a build, for outputs that cannot be redrawn."""

from __future__ import annotations

import threading
from collections.abc import Callable

from mljupyter.build.images.events import BuildEvent
from mljupyter.visible import visible

_MARKS = {"succeeded": "✓", "failed": "✗", "cancelled": "cancelled"}


class BuildLines:
    """Says a stage when it has lasted a while, and its duration when it ends. Short stages that succeed are not said.

    Parameters:
        say: prints a line; called from any thread.
        warn: prints a warning; called from any thread.
        after: how long a stage lasts before it is said, in seconds.

    """

    def __init__(self, say: Callable[[str], None], warn: Callable[[str], None], after: float = 1.0) -> None:
        self._say = say
        self._warn = warn
        self._after = after
        self._timer: threading.Timer | None = None

    def __call__(self, event: BuildEvent) -> None:
        """Take an event of the build. Log lines are not said, except for warnings."""
        if event.state is None:
            if event.warning:
                self._warn(visible(event.text))
            return
        if self._timer is not None:
            self._timer.cancel()
        if event.state == "running":
            self._timer = threading.Timer(self._after, self._say, [f"  build   {event.stage} …"])
            self._timer.daemon = True
            self._timer.start()
        elif event.state != "succeeded" or (event.seconds or 0.0) >= self._after:
            took = f" {event.seconds:.1f} s" if event.seconds is not None else ""
            self._say(f"  build   {event.stage} {_MARKS[event.state]}{took}")
