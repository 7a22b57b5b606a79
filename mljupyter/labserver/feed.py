"""WorkspaceFeed: follows the endpoints of a workspace on all its control planes, while somebody listens."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from mljupyter.client.base import ControlPlaneClient
from mljupyter.client.http import HttpEndpointClient
from mljupyter.errors import MLJupyterError
from mljupyter.labserver.rows import row_of
from mljupyter.workspace.context import WorkspaceContext

Message = dict[str, Any]
Listener = Callable[[Message], None]

_POLL_SECONDS = 20.0
_LOOK_SECONDS = 2.0
_RETRY_SECONDS = (1.0, 15.0)
"""The first and the longest pause before a control plane that does not answer is asked again."""
_PACE_SECONDS = 0.25
"""The shortest time between two messages about one control plane: what changes meanwhile is in the second one."""

log = logging.getLogger(__name__)


class WorkspaceFeed:
    """Tells listeners of the endpoints of a workspace: all of them first, then those that change.

    One thread looks for control planes, one for each follows its changes. They end when nobody listens. A control plane
    that does not run is not started, nor one that was stopped; one that dies while it is followed is. A control plane
    that does not answer keeps its endpoints, with the reason and the time of its last answer. One that was stopped
    before somebody listened, and has endpoints, is named with the way to start it.

    Parameters:
        context: the workspace.

    """

    def __init__(self, context: WorkspaceContext) -> None:
        self.context = context
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._planes: dict[str, _Plane] = {}
        self._gone = False
        self._looked = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call a function with all endpoints as soon as they are known, then with each change; return what ends that.

        Parameters:
            listener: is called on any thread, and must return at once.

        """
        with self._lock:
            self._listeners.append(listener)
            listener(self._all())
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mljupyter feed", daemon=True)
                self._thread.start()
        return lambda: self._forget(listener)

    def close(self) -> None:
        """Forget all listeners; the threads end."""
        with self._lock:
            self._listeners.clear()
        self._wake.set()

    def _forget(self, listener: Listener) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._listeners.remove(listener)
        self._wake.set()

    def _run(self) -> None:
        while True:
            gone, present = self._gone, {name: plane.client for name, plane in self._planes.items()}
            try:
                gone = not self.context.is_there
                present = {} if gone else self._find()
            except Exception:  # what was known stays, and the next look may succeed
                log.exception("the control planes of a workspace could not be found")
            with self._lock:
                if not self._listeners:
                    self._thread = None
                    for plane in self._planes.values():
                        plane.end()
                    self._planes.clear()
                    return
                changed = gone is not self._gone or not self._looked
                self._gone, self._looked = gone, True
                for name, plane in list(self._planes.items()):
                    if present.get(name) is not plane.client:
                        plane.end()
                        del self._planes[name]
                        changed = True
                for name in present.keys() - self._planes.keys():
                    self._planes[name] = plane = _Plane(name, present[name])
                    threading.Thread(
                        target=self._follow, args=(plane,), name=f"mljupyter feed of {name}", daemon=True
                    ).start()
                if changed:
                    self._tell(self._all())
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()

    def _find(self) -> dict[str, ControlPlaneClient]:
        """Return the control planes that may have endpoints, by the name of their first target."""
        found: dict[str, ControlPlaneClient] = {}
        for name, target in self.context.targets.items():
            plane = self._planes.get(name)
            try:
                if target.stands_for or not target.has_endpoints():
                    continue
                is_silent = plane is None or plane.problem is not None
                runs = is_silent and target.is_running()
                is_known = runs or not is_silent or (plane is not None and plane.rows)
                if not (is_known or target.has_crashed() or target.was_stopped()):
                    continue
                if plane is not None:
                    if runs and not plane.runs:  # it was started by somebody else
                        plane.wake.set()
                    plane.runs = runs
                client = target.endpoints()
            except MLJupyterError:  # a target that cannot be read hides no other one
                if plane is not None:
                    found[name] = plane.client
                continue
            if not any(client is other for other in found.values()):
                found[name] = client
        return found

    def _follow(self, plane: _Plane) -> None:
        pause, longest = _RETRY_SECONDS
        while not plane.ended.is_set():
            try:
                changes = plane.client.changes(plane.token, _POLL_SECONDS)
                rows = {record.spec.name: row_of(record) for record in changes.records}
            except Exception as error:
                if not isinstance(error, MLJupyterError):
                    log.exception("the endpoints of a control plane could not be read")
                self._became(plane, problem=_reason(error))
                plane.wake.wait(pause)
                if plane.ended.is_set():
                    return
                plane.wake.clear()
                if self.context.is_there:
                    _revive(plane.client)
                pause = min(2 * pause, longest)
                continue
            pause = _RETRY_SECONDS[0]
            with self._lock:
                if plane.ended.is_set():
                    return
                plane.token, plane.answered = changes.token, time.time()
                whole = changes.whole or plane.problem is not None or not plane.read
                plane.problem, plane.read = None, True
                if changes.whole:
                    plane.rows = rows
                else:
                    plane.rows.update(rows)
                    for name in changes.removed:
                        plane.rows.pop(name, None)
                if whole:
                    self._tell(self._all())
                elif rows or changes.removed:
                    self._tell({"whole": False, "rows": list(rows.values()), "removed": list(changes.removed)})
                else:
                    continue
            plane.ended.wait(_PACE_SECONDS)

    def _became(self, plane: _Plane, problem: str) -> None:
        with self._lock:
            if not plane.ended.is_set() and plane.problem != problem:
                plane.problem = problem
                self._tell(self._all())

    def _all(self) -> Message:
        """Return the message with all endpoints. If a control plane does not answer, they stay, with the reason."""
        return {
            "whole": True,
            "gone": self._gone,
            "known": self._looked and all(plane.read or plane.problem for plane in self._planes.values()),
            "rows": [row for plane in self._planes.values() for row in plane.rows.values()],
            "problems": [
                {"target": plane.name, "message": plane.problem, "read": plane.read, "asOf": plane.answered}
                for plane in self._planes.values()
                if plane.problem
            ],
            "time": time.time(),
        }

    def _tell(self, message: Message) -> None:
        for listener in self._listeners:
            listener(message)


class _Plane:
    """A control plane that is followed."""

    def __init__(self, name: str, client: ControlPlaneClient) -> None:
        self.name = name
        self.client = client
        self.token = ""
        self.rows: dict[str, dict[str, Any]] = {}
        self.problem: str | None = None
        self.read = False
        self.answered: float | None = None
        self.runs = False
        """Whether it ran at the last look, if it did not answer then."""
        self.wake = threading.Event()
        """Is set when the pause before the next request should end."""
        self.ended = threading.Event()

    def end(self) -> None:
        """Follow it no more."""
        self.ended.set()
        self.wake.set()


def _reason(error: Exception) -> str:
    if isinstance(error, MLJupyterError):
        return error.message
    return "its endpoints cannot be read; the log of Jupyter Server says why."


def _revive(client: ControlPlaneClient) -> None:
    """Start a control plane that has crashed, which its endpoints need; one that was stopped stays so."""
    with contextlib.suppress(Exception):  # the next request has the reason
        if isinstance(client, HttpEndpointClient):
            client.wait_for_control_plane()
        else:
            client.endpoints()
