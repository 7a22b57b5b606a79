"""A panel that follows one endpoint: it looks once a second while somebody looks at it, and rests otherwise."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from typing import Any

import anywidget

from mljupyter.core import Workspace
from mljupyter.errors import MLJupyterError
from mljupyter.notebook.views.views import Table
from mljupyter.visible import markup, visible
from mljupyter.widgets.serial_executor import Worker

EVERY_SECONDS = 1.0
_UNWATCHED_AFTER = 12.0  # seconds; a view that is looked at says so every four


class LivePanel(anywidget.AnyWidget):
    """The base of panels that follow an endpoint.

    A panel owns nothing: closing it changes nothing, and another one shows the same. Views say every few seconds that
    they are looked at; when none is shown, the thread that asks the controller ends. The next one starts it again.

    Parameters:
        workspace: where the endpoint is.
        name: the endpoint.
        again: the line that shows the panel again, for saved notebooks.

    Raises:
        MLJupyterError: there is no such endpoint.

    """

    def __init__(self, workspace: Workspace, name: str, again: str) -> None:
        self._workspace = workspace
        self._endpoint = name
        self._again = again
        self._static = self._table()  # before anything else: the error of a name that is not there is the cell's
        super().__init__()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._last_watch = 0.0
        self._whole = True
        self._worker = Worker(f"mljupyter {name} actions", self._failed)
        self.on_msg(self._received)

    def close(self) -> None:
        """End the panel; the endpoint goes on."""
        self._closed.set()
        self._worker.close()
        super().close()

    @abstractmethod
    def _table(self) -> Table:
        """Return the present state as text, for places without widgets."""

    @abstractmethod
    def _look(self, whole: bool) -> dict[str, Any]:
        """Return the message of one tick; the first one to a view has everything, later ones what is new.

        Raises:
            MLJupyterError: it cannot be had now; the view says so and keeps what it shows.

        """

    def _hear(self, message: dict[str, Any]) -> None:
        """Take a message of the view that only this kind of panel knows; must return at once."""

    def _received(self, _: Any, message: Any, buffers: Any) -> None:
        """Take note; what takes time happens on threads of ours."""
        if not isinstance(message, dict):  # not from a view of ours
            return
        if message.get("kind") in ("hello", "watch"):
            self._watch(afresh=message["kind"] == "hello")
        else:
            self._hear(message)

    def _watch(self, *, afresh: bool) -> None:
        with self._lock:
            self._whole = self._whole or afresh
            self._last_watch = time.monotonic()
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._run, name=f"mljupyter {self._endpoint}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closed.is_set() or time.monotonic() - self._last_watch > _UNWATCHED_AFTER:
                    self._thread = None
                    return
                whole, self._whole = self._whole, False
            began = time.monotonic()
            try:
                self.send({"kind": "tick", "whole": whole, "time": time.time(), **self._look(whole)})
            except MLJupyterError as error:
                self._whole = self._whole or whole
                self.send({"kind": "problem", "problem": str(error).partition("\n")[0]})
            self._closed.wait(max(EVERY_SECONDS - (time.monotonic() - began), 0.1))

    def _failed(self, error: Exception) -> None:
        self._say(str(error) if isinstance(error, MLJupyterError) else f"{type(error).__name__}: {error}")

    def _say(self, text: str) -> None:
        self.send({"kind": "said", "text": text})

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add what was seen when the cell ran, as text and HTML: a saved notebook stays readable."""
        bundle = super()._repr_mimebundle_(**kwargs)
        found, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        again = visible(f"{self._again} shows it live again.")
        forms = {
            "text/plain": f"{self._endpoint}\n{visible(self._static.text())}\n{again}",
            "text/html": f"{self._static.html()}<p><em>{markup(again)}</em></p>",
        }
        return {**(found or {}), **forms}, metadata
