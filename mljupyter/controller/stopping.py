"""Stop the controller of a workspace in bounded time. With force, its router and replicas are stopped too."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass

from mljupyter.client.errors import ControllerError
from mljupyter.client.transport import ConnectionLostError, ConnectionNotMadeError
from mljupyter.client.unix_socket import ask
from mljupyter.controller import launch, running
from mljupyter.controller.layout import Layout
from mljupyter.controller.offline import needed_versions
from mljupyter.controller.running import Running
from mljupyter.runtimes.catalog import outside_process_table
from mljupyter.runtimes.process import processes
from mljupyter.spec import SpecError

_ANSWER_WITHIN = 3.0
_ENDS_WITHIN = 18.0  # it kills itself earlier: see `lifecycle.END_WITHIN`
# Parts of the twenty seconds that a forced stop may take.
_FORCED_ENDS_WITHIN = 10.0
_FORCED_WITHIN = 18.0
_START_WITHIN = 5.0
_FIRST_ERROR = 400


@dataclass(frozen=True)
class Stop:
    """The result of a stop. It is true when there was a process to stop.

    Parameters:
        stopped: whether a controller, a router or a replica was running.
        killed: the processes that were killed because they did not end on request.
        left: what may still run because it could not be ended, as text.

    """

    stopped: bool
    killed: tuple[str, ...] = ()
    left: str = ""

    def __bool__(self) -> bool:
        return self.stopped


def stop(layout: Layout, *, force: bool) -> Stop:
    """Stop the controller, with `force` also the replicas of all endpoints and the router.

    Raises:
        ControllerError: when it does not end. Only `force` kills it.

    """
    began = time.monotonic()
    controller = running.controller_of(layout)
    asked = _asked(layout, force=force)
    if controller is None and not asked:
        return _stop_serving_processes(layout, began, killed=[]) if force else Stop(stopped=False)
    if controller is None:  # it ended just now
        return Stop(stopped=True)
    if force:
        return _stop_by_force(layout, began, controller, asked=asked)
    if not asked:
        controller.signal(signal.SIGTERM)
    if running.gone([controller], began + _ENDS_WITHIN):
        return Stop(stopped=True)
    raise ControllerError(
        f"the controller (pid {controller.pid}) has not ended within {_ENDS_WITHIN:.0f} s.\n"
        "To kill it and all endpoints: mljupyter controller stop --force"
    )


def _stop_by_force(layout: Layout, began: float, controller: processes.Identity, *, asked: bool) -> Stop:
    """Kill a controller that could not be asked to stop or does not end, then its remaining processes."""
    ended = asked and running.gone([controller], began + _FORCED_ENDS_WITHIN)
    killed = [] if ended else [str(Running("controller", controller))]
    controller.signal(signal.SIGKILL)
    running.gone([controller], began + _FORCED_WITHIN)
    return _stop_serving_processes(layout, began, killed=killed, ended_by_controller=ended)


def _stop_serving_processes(
    layout: Layout, began: float, killed: list[str], *, ended_by_controller: bool = False
) -> Stop:
    """Kill the router and the replicas that no controller has ended."""
    found = running.serving_processes(layout)
    sockets = running.sockets_of_replicas(layout)
    running.kill(found)
    left = ""
    if not ended_by_controller and _has_containers(layout):
        left = _end_containers(layout, began)
    identities = [one.identity for one in found]
    if not running.gone(identities, began + _FORCED_WITHIN):
        left = ", ".join(str(one) for one in found if one.identity.alive())
    with suppress(OSError):
        for socket in sockets.values():
            socket.unlink(missing_ok=True)
    layout.leave()
    return Stop(bool(found or killed or ended_by_controller), (*killed, *map(str, found)), left)


def _end_containers(layout: Layout, began: float) -> str:
    """Let another controller end the containers. Return what is left if it does not do so in time."""
    try:
        launch.start(layout, within=_START_WITHIN)
        controller = running.controller_of(layout)
        left = [controller] if controller is not None else []
        ended = _asked(layout, force=True) and running.gone(left, began + _FORCED_WITHIN)
    except ControllerError:
        controller, ended = running.controller_of(layout), False
    if ended:
        return ""
    _kill(controller)
    running.kill(running.serving_processes(layout))
    return "containers of this workspace: their engine does not answer"


def _kill(controller: processes.Identity | None) -> None:
    if controller is not None:
        controller.signal(signal.SIGKILL)


def _has_containers(layout: Layout) -> bool:
    try:
        return any(outside_process_table(version.target) for version in needed_versions(layout.directory))
    except (ControllerError, SpecError):
        return False  # a controller could not start either


def _asked(layout: Layout, *, force: bool) -> bool:
    """Return whether a controller has accepted the request to stop."""
    try:
        answer = ask(
            layout.socket(), "POST", f"/v1/stop?force={'true' if force else 'false'}", None, within=_ANSWER_WITHIN
        )
    except (ConnectionNotMadeError, ConnectionLostError, TimeoutError, ControllerError):
        return False
    return answer.status < _FIRST_ERROR
