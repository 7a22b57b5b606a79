"""Views: monitors, logs and wizards that live in the server, with the same classes as those of notebooks."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anywidget

from mljupyter.client.looking import only_looking
from mljupyter.core import Image, Workspace
from mljupyter.errors import MLJupyterError
from mljupyter.labserver.view_comm import Send, ViewComm
from mljupyter.notebook.options.option_values import near
from mljupyter.notebook.session import Session
from mljupyter.outside import whole

MOST_VIEWS = 64
_KEPT_SECONDS = 600.0
"""The time for which a view that no page shows is kept: a page may be loading again."""

_CHART_SECONDS = 300

Arguments = Mapping[str, str]


class ViewError(MLJupyterError):
    """A view cannot be opened."""


def session_for(workspace: Workspace | None) -> Session:
    """Return a session for wizards without a kernel: it has no variables.

    Parameters:
        workspace: its workspace; None for the one that notebooks use by default, which is created when it is needed.

    """
    session = Session(SimpleNamespace(user_ns={}, user_ns_hidden={}))
    if workspace is not None:
        session.use(workspace)
    return session


def _monitor(workspace: Workspace, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.panels.monitor import WINDOW_SECONDS, Monitor  # slow import; only if one is opened

    seconds = whole(given.get("seconds", "")) or _CHART_SECONDS
    return Monitor(workspace, given["name"], min(seconds, WINDOW_SECONDS))


def _logs(workspace: Workspace, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.panels.log_panel import LogPanel  # slow import; only if one is opened
    from mljupyter.widgets.panels.log_sources import EndpointLog  # slow import; only if one is opened

    return LogPanel(EndpointLog(workspace.webservices[given["name"]], 1000, given.get("version") or None))


def _build_log(workspace: Workspace, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.panels.log_panel import LogPanel  # slow import; only if one is opened
    from mljupyter.widgets.panels.log_sources import ImageLog  # slow import; only if one is opened

    return LogPanel(ImageLog(Image(workspace, id=given["name"])))


def _history(workspace: Workspace, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.panels.history import EndpointHistory  # slow import; only if one is opened

    return EndpointHistory(workspace, given["name"])


def _comparison(workspace: Workspace, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.panels.comparison import Comparison  # slow import; only if one is opened

    return Comparison(workspace, given["name"])


def _try(workspace: Workspace, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.wizards.try_form import TryForm  # slow import; only if one is opened

    service = workspace.webservices[given["name"]]
    return TryForm(given["name"], service, service.get_swagger())


def _traffic(workspace: Workspace | None, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.wizards.traffic_wizard import TrafficWizard  # slow import; only if one is opened

    return TrafficWizard(session_for(workspace), given.get("name", ""))


def _deploy(workspace: Workspace | None, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.wizards.deploy_wizard import DeployWizard  # slow import; only if one is opened

    return DeployWizard(session_for(workspace), {}, dict(given))


def _register(workspace: Workspace | None, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.wizards.register_wizard import RegisterWizard  # slow import; only if one is opened

    return RegisterWizard(session_for(workspace), {}, given.get("path", ""))


def _attach(workspace: Workspace | None, given: Arguments) -> anywidget.AnyWidget:
    from mljupyter.widgets.wizards.attach_wizard import AttachWizard  # slow import; only if one is opened

    return AttachWizard(session_for(workspace))


@dataclass(frozen=True)
class Kind:
    """A kind of view: what makes it, the JavaScript module that draws it, and what its name is that of.

    A view of something exists in a workspace; a wizard is made without one, too.
    """

    make: Callable[[Any, Arguments], anywidget.AnyWidget]
    module: str
    of: str = ""


KINDS = {
    "monitor": Kind(_monitor, "monitor", of="an endpoint"),
    "logs": Kind(_logs, "log", of="an endpoint"),
    "history": Kind(_history, "history", of="an endpoint"),
    "build": Kind(_build_log, "log", of="an image"),
    "comparison": Kind(_comparison, "comparison", of="an endpoint"),
    "try": Kind(_try, "wizard", of="an endpoint"),
    "traffic": Kind(_traffic, "wizard"),
    "deploy": Kind(_deploy, "wizard"),
    "register": Kind(_register, "wizard"),
    "attach": Kind(_attach, "wizard"),
}


@dataclass
class _View:
    widget: anywidget.AnyWidget
    comm: ViewComm
    module: str
    born: str = field(default_factory=lambda: secrets.token_hex(8))
    heard: tuple[str, int] = ("", 0)
    shown_by: object | None = None
    left_at: float = field(default_factory=time.monotonic)


class Views:
    """The open views of a server, by the id that the page has chosen.

    A view outlives the connection of its page by ten minutes, with everything that was typed into it.

    Parameters:
        root: the directory that the file browser shows. Paths of files in it are given relative to it.

    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._views: dict[str, _View] = {}
        self._lock = threading.Lock()

    def show(
        self, view_id: str, kind: str, workspace: Workspace | None, given: Arguments, page: object, send: Send
    ) -> dict[str, Any]:
        """Open a view, or show one that is open already to a page; return its module and its state.

        Parameters:
            view_id: the id that the page has chosen.
            kind: one of `KINDS`.
            workspace: the workspace; None if there is none yet: a wizard creates it when it does something.
            given: ``name`` of an endpoint or image, ``version`` of an endpoint, ``seconds`` as the period of a
                monitor's charts; or initial values of a wizard.
            page: the connection of the page; see `leave`.
            send: sends a message of the view to the page.

        Raises:
            ViewError: there is no such kind, or too many views are open.
            MLJupyterError: the view cannot be made, such as for an endpoint that does not exist.

        """
        self._forget_old()
        with self._lock:
            view = self._views.get(view_id)
        if view is None:
            view = self._open(view_id, kind, workspace, given)
        view.shown_by = page
        view.comm.lead_to(send)
        state = view.widget.get_state()
        shown = {name: value for name, value in state.items() if not name.startswith("_") and name not in _OF_DOM}
        return {"module": view.module, "state": shown, "born": view.born, "heard": view.heard}

    def receive(self, view_id: str, content: Any, origin: str = "", number: int = 0) -> bool:
        """Give a message of a page to a view; return whether there is such a view.

        Parameters:
            view_id: the id of the view.
            content: the message.
            origin: the id of the page.
            number: the number of the message, which grows with each one of a page for this view. A page that comes back
                sends again what may have been lost: a message that was heard before is not heard twice. 0 for none.

        """
        with self._lock:
            view = self._views.get(view_id)
            if view is not None and number > 0:
                if view.heard[0] == origin and number <= view.heard[1]:
                    return True
                view.heard = origin, number
        if view is not None:
            view.comm.receive(content)
        return view is not None

    def end(self, view_id: str) -> None:
        """Close a view."""
        with self._lock:
            view = self._views.pop(view_id, None)
        if view is not None:
            view.comm.lead_to(None)
            view.widget.close()

    def leave(self, page: object) -> None:
        """Keep the views of a page whose connection has ended, for a while."""
        with self._lock:
            left = [view for view in self._views.values() if view.shown_by is page]
        for view in left:
            view.comm.lead_to(None)
            view.comm.receive({"kind": "gone"})
            view.shown_by, view.left_at = None, time.monotonic()

    def close(self) -> None:
        """Close all views."""
        for view_id in list(self._views):
            self.end(view_id)

    def _open(self, view_id: str, kind: str, workspace: Workspace | None, given: Arguments) -> _View:
        if kind not in KINDS:
            raise ViewError(f"{kind!r} is not a view.{near(kind, KINDS)}")
        if KINDS[kind].of and not given.get("name"):
            raise ViewError(f"The view {kind} needs the name of {KINDS[kind].of}.")
        if KINDS[kind].of and workspace is None:
            raise ViewError(f"There is no workspace yet, and so not {KINDS[kind].of} named {given['name']!r}.")
        if len(self._views) >= MOST_VIEWS:
            raise ViewError(f"{MOST_VIEWS} views are open on this server: close some first.")
        files = {name: str(self._file(given[name])) for name in _FILES & given.keys() if given[name]}
        with only_looking():  # a page that is loaded again opens its tabs again
            widget = KINDS[kind].make(workspace, {**given, **files})
        comm = ViewComm()
        widget.comm = comm
        view = _View(widget, comm, KINDS[kind].module)
        with self._lock:
            return self._views.setdefault(view_id, view)

    def _file(self, path: str) -> Path:
        """Return a file of the file browser, which shows nothing above its root."""
        found = Path(os.path.normpath(self._root / path))
        if not (_is_a_path(path) and found.is_relative_to(self._root)):
            raise ViewError(f"{path!r} is not below the directory of the file browser, {str(self._root)!r}.")
        return found

    def _forget_old(self) -> None:
        now = time.monotonic()
        with self._lock:
            old = [
                view_id
                for view_id, view in self._views.items()
                if view.shown_by is None and now - view.left_at > _KEPT_SECONDS
            ]
        for view_id in old:
            self.end(view_id)


def _is_a_path(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False


_FILES = frozenset({"path", "score"})
_OF_DOM = frozenset({"layout", "tabbable", "tooltip"})
