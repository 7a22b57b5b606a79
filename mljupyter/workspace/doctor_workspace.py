"""Checks of one workspace: do its processes run and answer, and can its files be read?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from mljupyter.client.transport import ConnectionLostError, ConnectionNotMadeError
from mljupyter.client.unix_socket import ask
from mljupyter.controller import launch, running
from mljupyter.controller.layout import Layout
from mljupyter.controller.router import files
from mljupyter.controller.router import process as router_process
from mljupyter.controller.storage.backup import WAY_BACK, damage, lost
from mljupyter.controller.tls.authority import Authority
from mljupyter.controller.tls.tokens import TokenKeys
from mljupyter.errors import MLJupyterError
from mljupyter.outside import json_value
from mljupyter.targets.machine.client import ControllerClient
from mljupyter.telemetry.export.destination import configured

Status = Literal["ok", "note", "failed"]
_ANSWER_WITHIN = 3.0
_START = "mljupyter controller start"
_BY_FORCE = "mljupyter controller stop --force; mljupyter controller start"


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Parameters:
        name: the part that was checked.
        status: ``ok``; ``note`` for a remark on a working part; ``failed`` for a problem that keeps endpoints from
            serving.
        text: the finding.
        fix: the solution; empty if nothing needs to be done.

    """

    name: str
    status: Status
    text: str
    fix: str = ""

    def document(self) -> dict[str, Any]:
        """Return the check as JSON types."""
        return asdict(self)


def examine_workspace(directory: Path) -> Iterator[Check]:
    """Check controller, router, replicas and files of a workspace, without starting or changing anything."""
    layout = Layout.of(directory)
    yield _controller(layout)
    yield from _router(layout)
    yield from _replicas(layout)
    yield from _files(layout)


def _controller(layout: Layout) -> Check:
    found = running.controller_of(layout)
    if found is not None and not launch.reachable(layout):
        text = f"pid {found.pid} runs, but nobody can connect to its socket {layout.socket()}"
        fix = "It makes the socket again within 15 s. If it does not: mljupyter controller stop"
        return Check("controller", "failed", text, fix)
    try:
        status = ControllerClient(layout.directory).running()
    except MLJupyterError as error:
        text = error.message.partition("\n")[0]
        if found is None:
            return Check("controller", "failed", text, "mljupyter controller logs")
        return Check("controller", "failed", f"pid {found.pid} runs: {text}", _BY_FORCE)
    if status is None:
        return Check("controller", "ok", "not running; it starts when it is needed")
    router = status.get("router") or {}
    number = status["endpoints"]
    text = f"running, pid {status['pid']}, {number} endpoint{'' if number == 1 else 's'}"
    return Check("controller", "ok", f"{text}; router {router.get('state', 'stopped')}")


def _router(layout: Layout) -> Iterator[Check]:
    for process in router_process.running(layout.router):
        pid = process.identity.pid
        try:
            ask(process.admin, "GET", "/ready", None, within=_ANSWER_WITHIN)
        except ConnectionNotMadeError:
            fix = f"The controller replaces it within 15 s; start it if it does not run: {_START}"
            yield Check("router process", "failed", f"pid {pid} runs, but its socket {process.admin} is gone", fix)
        except (ConnectionLostError, TimeoutError, MLJupyterError):
            fix = f"The controller ends it and starts another one within 15 s. If it does not: {_BY_FORCE}"
            yield Check("router process", "failed", f"pid {pid} runs, but does not answer", fix)
        else:
            yield Check("router process", "ok", f"running, pid {pid}")


def _replicas(layout: Layout) -> Iterator[Check]:
    sockets = running.sockets_of_replicas(layout)
    missing = sorted(name for name, socket in sockets.items() if not socket.is_socket())
    if missing:
        fix = f"The controller replaces them within 15 s; start it if it does not run: {_START}"
        yield Check("replicas", "failed", f"without a socket: {', '.join(missing)}", fix)
    elif sockets:
        yield Check("replicas", "ok", f"{len(sockets)} running on this machine")


def _files(layout: Layout) -> Iterator[Check]:
    for path in files.unreadable(layout.router):
        yield Check("files", "failed", f"{path} is empty or damaged", f"It is written again: {_START}")
    if (layout.database.exists() or lost(layout.database)) and (found := damage(layout.database)) is not None:
        way = f"mljupyter controller stop; then {WAY_BACK}"
        yield Check("files", "failed", f"{layout.database} is damaged: {found}", way)
    if (problem := TokenKeys(layout.token_keys).problem) is not None:
        yield _from(problem.message)
    for path in sorted(layout.tls.glob("*.json")):
        if not _is_json(path):
            yield Check("files", "failed", f"{path} is empty or damaged", f"rm {shlex.quote(str(path))}; {_START}")
    if (reason := Authority(layout.tls, layout.directory.name).damage()) is not None:
        yield _from(reason)
    try:
        configured(layout.control)
    except MLJupyterError as error:
        yield _from(error.message)


def _from(message: str) -> Check:
    """Return the check for a message with the problem in its first line and the solution in the next."""
    text, _, fix = message.partition("\n")
    return Check("files", "failed", text, fix)


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json_value(path.read_bytes()), dict)
    except (OSError, ValueError):
        return False
