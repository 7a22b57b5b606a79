"""Start the controller when a client needs it, as a separate process that outlives the client."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

from mljupyter.client.errors import ControllerStartError, stopped
from mljupyter.controller.layout import Layout
from mljupyter.detached import start_detached
from mljupyter.scoring import peers

START_WITHIN = 30.0
_LOOK_EVERY = 0.01
_OUTPUT = "controller.out"
_LOST_THE_RACE = 3  # exit status of a controller that found another one


def reachable(layout: Layout) -> bool:
    """Return whether a process of this user listens on the controller's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(layout.socket()))
            peers.check(probe)
        except OSError:
            return False
        return True


def refuse_unreachable(layout: Layout) -> None:
    """Raise `ControllerStartError` when a controller runs but does not accept connections. A starting one may do so."""
    from mljupyter.controller.running import controller_of  # imports psutil: only for this rare case

    found = controller_of(layout)
    if found is not None and time.time() - found.started_time > START_WITHIN:
        raise ControllerStartError(
            f"the controller (pid {found.pid}) runs, but its socket {str(layout.socket())!r} is gone.\n"
            "It creates the socket again within 15 s. If it does not: mljupyter controller stop"
        )


def start(layout: Layout, within: float = START_WITHIN) -> None:
    """Start the controller, unless one runs. Return when it can be reached.

    Several clients may call this at the same time: the lock file allows one controller, and all of them find it.

    Parameters:
        layout: the file layout of the workspace.
        within: the timeout in seconds.

    Raises:
        ControllerStartError: when none can be reached in time; with the last output of the process.

    """
    if not layout.directory.is_dir():
        raise ControllerStartError(
            f"{str(layout.directory)!r} is not a directory: the workspace was deleted, or never was here."
        )
    try:
        layout.prepare()
        child = _spawn(layout)
    except OSError as error:
        raise ControllerStartError(stopped("the controller cannot be started", error)) from None
    deadline = time.monotonic() + within
    while not reachable(layout):
        status = child.poll()
        if status is not None and status != _LOST_THE_RACE:
            raise ControllerStartError(
                f"the controller did not start (exit status {status}). Its output:\n{_last(layout)}"
            )
        if time.monotonic() > deadline:
            raise ControllerStartError(
                f"the controller cannot be reached after {within:.0f} s. Its output:\n{_last(layout)}\n"
                "Its log: mljupyter controller logs"
            )
        time.sleep(_LOOK_EVERY)


def _spawn(layout: Layout) -> subprocess.Popen[bytes]:
    descriptor = os.open(layout.control / _OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        command = [sys.executable, "-m", "mljupyter.controller", str(layout.directory)]
        if idle := os.environ.get("MLJUPYTER_CONTROLLER_IDLE_SECONDS"):
            command += ["--idle-seconds", idle]
        return start_detached(command, layout.directory, descriptor)
    finally:
        os.close(descriptor)


def _last(layout: Layout) -> str:
    output = layout.control / _OUTPUT
    lines = output.read_text(errors="replace", encoding="utf-8").splitlines()[-5:] if output.exists() else []
    return "\n".join(f"  {line}" for line in lines) or "  (nothing)"
