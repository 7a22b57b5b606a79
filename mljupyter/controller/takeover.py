"""Take over from a controller of an older release: after an upgrade of the package it still runs, with the old code.

It would refuse what this release asks for, and start replicas with a mixture of its own code and the installed one. So
the first client of the new release stops it and starts another one, which adopts the router and the replicas. Endpoints
keep serving, and the router is restarted hot where its settings have changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from mljupyter import __version__
from mljupyter.client.errors import ControllerError
from mljupyter.controller.layout import Layout
from mljupyter.registry.locking import locked_directory

INTERFACE = 2
"""The number of the interface between clients and controllers. A change that one side would not understand raises it.

Release 788ba90 names none, which counts as 1.
"""
_ONE_AT_A_TIME = 60.0  # seconds: another client stops the same controller


class Step(Enum):
    """What a client does about the controller that it has found."""

    USE = "use"
    REPLACE = "replace"
    REFUSE = "refuse"


def step_for(status: Mapping[str, Any]) -> Step:
    """Decide by the status document of a controller.

    >>> step_for({"release": "0.1.0"}), step_for({"interface": 99})
    (<Step.REPLACE: 'replace'>, <Step.REFUSE: 'refuse'>)
    """
    found = status.get("interface", 1)
    if found == INTERFACE:
        return Step.USE
    return Step.REPLACE if found < INTERFACE else Step.REFUSE


def check(layout: Layout, ask_status: Callable[[], Mapping[str, Any] | None]) -> None:
    """Replace the controller of a workspace if it is of an older release, and say so.

    Parameters:
        layout: the file layout of the workspace.
        ask_status: returns the status document of the running controller; None when none runs.

    Raises:
        ControllerError: the controller is of a newer release, or an older one does not end.

    """
    status = ask_status()
    if status is None or step_for(status) is Step.USE:
        return
    if step_for(status) is Step.REFUSE:
        raise ControllerError(
            f"the controller of this workspace is of a newer release of mljupyter, {_named(status)}; this is "
            f"{__version__}. Endpoints keep serving.\n"
            "If the package was upgraded while this notebook was open, restart its kernel. Otherwise: "
            "pip install --upgrade mljupyter"
        )
    from mljupyter.controller import launch  # imports psutil: only for this rare case
    from mljupyter.controller.stopping import stop

    with locked_directory(layout.replicas, exclusive=True, timeout=_ONE_AT_A_TIME):
        status = ask_status()
        if status is not None and step_for(status) is Step.REPLACE:
            print(
                f"mljupyter: the controller of this workspace (pid {status.get('pid')}) is of an older release, "
                f"{_named(status)}. It is replaced; endpoints keep serving.",
                file=sys.stderr,
            )
            stop(layout, force=False)
        launch.start(layout)


def _named(status: Mapping[str, Any]) -> str:
    return f"{status.get('release', 'without a number')} (interface {status.get('interface', 1)})"
