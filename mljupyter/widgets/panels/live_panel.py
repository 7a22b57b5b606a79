"""Base class of panels for one endpoint: updated once a second while visible, otherwise idle.

A kernel that runs a cell reads no messages of views. A panel therefore starts when it is displayed, and goes on as long
as a cell runs.
"""

from __future__ import annotations

import math
import threading
import time
from abc import abstractmethod
from contextlib import suppress
from typing import Any

import anywidget

from mljupyter.client.looking import only_looking
from mljupyter.core import Workspace
from mljupyter.errors import MLJupyterError, said_of
from mljupyter.notebook.views.views import Table
from mljupyter.visible import visible
from mljupyter.widgets.kernel import has_kernel, runs_a_cell
from mljupyter.widgets.panels.attention import Attention, read_beside_cells
from mljupyter.widgets.saved_state import SavedState, state_of
from mljupyter.widgets.serial_executor import Worker

EVERY_SECONDS = 1.0
_UNWATCHED_AFTER = 12.0  # seconds; a visible view reports every four
_WHOLE_SECONDS = 5.0  # between messages with all data, for a view whose first message is not read yet
_SAVE_SECONDS = (2.0, 60.0)  # between updates of the saved state at first, and later


class LivePanel(anywidget.AnyWidget):
    """Base class of panels that show an endpoint.

    A panel has no state of its own: closing it changes nothing. Visible views send a message every few seconds. If
    there are none although the kernel could read them, the thread that polls the controller ends; the next message
    starts it again. Until a view has been heard, all data is sent at intervals.

    Parameters:
        workspace: the workspace of the endpoint.
        name: the endpoint.
        again: the line that opens the panel again, for saved notebooks.

    Raises:
        MLJupyterError: there is no such endpoint.

    """

    def __init__(self, workspace: Workspace, name: str, again: str) -> None:
        self._workspace = workspace
        self._endpoint = name
        self._again = again
        self._closed = threading.Event()
        self._worker = Worker(f"mljupyter {name} actions", self._failed)
        self._static = self._table()  # first, so that an unknown name raises its error in the cell
        super().__init__()
        self._saved = SavedState(*_SAVE_SECONDS)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._attention = Attention(_UNWATCHED_AFTER)
        self._whole_from = 0.0  # the time from which the next message has all data
        self._is_heard = False
        self.on_msg(self._received)

    def close(self) -> None:
        """Close the panel; the endpoint is not affected."""
        self._closed.set()
        self._worker.close()
        super().close()

    @abstractmethod
    def _table(self) -> Table:
        """Return the present state as text, for front ends without widgets."""

    @abstractmethod
    def _look(self, whole: bool) -> dict[str, Any]:
        """Return the message of one tick; the first one of a view has all data, later ones only new data.

        Raises:
            MLJupyterError: the data is not available now; the view shows the error and keeps its data.

        """

    def _hear(self, message: dict[str, Any]) -> None:
        """Handle a message that is specific to this kind of panel; must return at once."""

    def _received(self, _: Any, message: Any, buffers: Any) -> None:
        """Handle a message; slow work is done on other threads."""
        if not isinstance(message, dict):  # not from a view of this widget
            return
        if message.get("kind") in ("hello", "watch"):
            self._watch(afresh=message["kind"] == "hello")
        elif message.get("kind") == "gone":
            self._attention.end()
        else:
            self._hear(message)

    def _watch(self, *, afresh: bool) -> None:
        """Take a message of a view; the first one of each view asks for all data."""
        with self._lock:
            self._is_heard = True
            self._attention.word(time.monotonic(), beside_cells=read_beside_cells())
            if afresh:
                self._whole_from = 0.0
            self._start()

    def _start(self) -> None:
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._run, name=f"mljupyter {self._endpoint}", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        with only_looking():
            self._show_while_watched()

    def _show_while_watched(self) -> None:
        while True:
            began = time.monotonic()
            with self._lock:
                lasts = self._attention.lasts(began, is_busy=runs_a_cell())
                if self._closed.is_set() or not lasts:
                    self._thread = None
                    break
                whole = began >= self._whole_from
                self._whole_from = math.inf if self._is_heard else began + _WHOLE_SECONDS if whole else self._whole_from
            try:
                self.send({"kind": "tick", "whole": whole, "time": time.time(), **self._look(whole)})
            except Exception as error:  # noqa: BLE001 (a panel whose thread has ended would stand still)
                if whole:
                    self._whole_from = 0.0
                self._say_problem(error)
            if self._saved.wait_seconds() == 0:
                self._save()
            self._closed.wait(max(EVERY_SECONDS - (time.monotonic() - began), 0.1))
        self._save()

    def _say_problem(self, error: Exception) -> None:
        with suppress(Exception):  # nobody hears it now; the next look says it again
            self.send({"kind": "problem", "problem": said_of(error).partition("\n")[0]})

    def _failed(self, error: Exception) -> None:
        """Say why an action failed; the view asks its questions again, with the same answers."""
        self.send({"kind": "said", "text": said_of(error), "failed": True})

    def _say(self, text: str) -> None:
        self.send({"kind": "said", "text": text})

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add the state when the panel was made, as text and HTML, for places that show only one form."""
        bundle = super()._repr_mimebundle_(**kwargs)
        found, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(found or {}), **self._state(self._static)}, metadata

    def _ipython_display_(self) -> None:
        """Show the panel, and below it the state that a saved notebook keeps."""
        bundle = super()._repr_mimebundle_()
        found = bundle[0] if isinstance(bundle, tuple) else bundle
        self._saved.show(found or {}, self._endpoint, self._state(self._static))
        if has_kernel():
            with self._lock:
                self._attention.word(time.monotonic())
                self._start()

    def _state(self, table: Table) -> dict[str, str]:
        return state_of(
            f"{self._endpoint}\n{visible(table.text())}", table.html(), f"{self._again} shows it live again."
        )

    def _save(self) -> None:
        """Update the saved state once a view was heard; an endpoint that cannot be asked keeps the one that it has."""
        if not self._is_heard:  # a notebook that runs without a reader: its outputs stay as its cells left them
            return
        try:
            self._saved.update(self._state(self._table()))
        except MLJupyterError:
            pass  # the next look says why
        except Exception as error:  # noqa: BLE001 (of the table alone; the panel goes on)
            self._say_problem(error)
