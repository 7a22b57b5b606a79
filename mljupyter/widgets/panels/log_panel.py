"""Log panel: stages and live lines, with search, following and copying."""

from __future__ import annotations

import threading
from collections import deque
from datetime import UTC, datetime
from typing import Any
from weakref import ref

import anywidget
import traitlets

from mljupyter.client.looking import only_looking
from mljupyter.engine.log_lines import shown_line
from mljupyter.errors import said_of
from mljupyter.visible import markup, visible
from mljupyter.widgets.panels.log_sources import LogSource
from mljupyter.widgets.saved_state import SavedState, state_of
from mljupyter.widgets.static_files import module, styles

MOST_LINES = 5000
_PAUSE_SECONDS = 0.25  # at most four messages a second
_UNHEARD_LINES = 200  # in a message before the first one of a view
_SHOWN_IN_TEXT = 20
_SAVE_SECONDS = (2.0, 60.0)  # between updates of the saved state at first, and later


class LogPanel(anywidget.AnyWidget):
    """A panel with a live log below its stages.

    Parameters:
        source: the source of the log.

    """

    _esm = module("log")
    _css = styles("log")
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, source: LogSource) -> None:
        self._source = source
        self._held: deque[str] = deque(maxlen=MOST_LINES)
        self._new: list[str] = []
        self._seen = False
        self._problem = ""  # why the last look has failed
        self._saved = SavedState(*_SAVE_SECONDS)
        self._lock = threading.Lock()
        self._closed = threading.Event()
        super().__init__(view=source.view())
        self.on_msg(self._received)
        for work in (_read, _send):
            threading.Thread(
                target=work, args=(ref(self), source), name=f"mljupyter log {source.name}", daemon=True
            ).start()

    def close(self) -> None:
        """Close the panel; its source is not affected."""
        self._closed.set()
        super().close()

    def _received(self, _: Any, message: Any, buffers: Any) -> None:
        if not isinstance(message, dict):  # not from a view of this widget
            return
        if message.get("kind") == "hello":
            with self._lock:
                self._seen = True
                self._new = []
                whole = list(self._held)
            self.send({"kind": "lines", "whole": True, "lines": whole})
        elif message.get("kind") == "cancel":
            threading.Thread(target=self._source.cancel, name="mljupyter cancel", daemon=True).start()

    def _add(self, line: str) -> None:
        text = visible(shown_line(line.rstrip("\r\n"), datetime.now(UTC)))
        with self._lock:
            self._held.append(text)
            self._new.append(text)

    def _flush(self) -> None:
        with self._lock:
            lines, self._new = self._new, []
            whole = not self._seen  # a view may be there whose first message waits for the end of a cell
            if lines and whole:
                lines = list(self._held)[-_UNHEARD_LINES:]
        if lines:
            try:
                self.send({"kind": "lines", "whole": whole, "lines": lines[-MOST_LINES:]})
            except Exception:
                with self._lock:  # for the next message
                    self._new = [*lines, *self._new][-MOST_LINES:]
                raise
        view = self._source.view()
        if view != self.view:
            self.view = view
        if self._seen and self._saved.wait_seconds() == 0:
            self._saved.update(self._state())

    def _look(self) -> None:
        """Send what is new. The reason of a failure becomes a line, once, and the next look may succeed."""
        try:
            self._flush()
        except Exception as error:  # noqa: BLE001 (a panel whose thread has ended would stand still)
            problem = said_of(error)
        else:
            problem = ""
        if problem and problem != self._problem:
            self._add(problem)
        self._problem = problem

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add the last lines as text and HTML, for places that show only one form."""
        bundle = super()._repr_mimebundle_(**kwargs)
        found, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(found or {}), **self._state()}, metadata

    def _ipython_display_(self) -> None:
        """Show the panel, and below it the last lines for the saved notebook."""
        bundle = super()._repr_mimebundle_()
        found = bundle[0] if isinstance(bundle, tuple) else bundle
        self._saved.show(found or {}, self._source.name, self._state())

    def _state(self) -> dict[str, str]:
        with self._lock:
            last = "\n".join(list(self._held)[-_SHOWN_IN_TEXT:])
        return state_of(last, f"<pre>{markup(last)}</pre>", f"{self._source.again} shows it live again.")


def _read(weak: ref[LogPanel], source: LogSource) -> None:
    """Read lines until the panel is closed or garbage-collected."""
    try:
        with only_looking():
            for line in source.lines():
                panel = weak()
                if panel is None or panel._closed.is_set():
                    return
                panel._add(line)
                del panel
    except Exception as error:  # noqa: BLE001 (it is the last line, so that a reader sees why no more come)
        panel = weak()
        if panel is not None:
            panel._add(said_of(error))


def _send(weak: ref[LogPanel], source: LogSource) -> None:
    while (panel := weak()) is not None and not panel._closed.is_set():
        with only_looking():
            panel._look()
        closed = panel._closed
        del panel
        closed.wait(_PAUSE_SECONDS)
