"""The controller's process: ``python -m mljupyter.controller WORKSPACE_DIRECTORY``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from mljupyter.client.errors import stopped
from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.lock import AlreadyRunningError, ControllerLock
from mljupyter.errors import MLJupyterError
from mljupyter.workspace_folders import WorkspaceGoneError

IDLE_SECONDS = 300.0


def main() -> int:
    """Run the controller of a workspace until it is idle or asked to stop. Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m mljupyter.controller", description=__doc__)
    parser.add_argument("workspace", type=Path, help="directory of the workspace")
    parser.add_argument(
        "--idle-seconds", type=_seconds, default=IDLE_SECONDS, help="stop after this time without endpoints"
    )
    arguments = parser.parse_args()
    layout = Layout.of(arguments.workspace)
    try:
        if not layout.directory.is_dir():  # it may have been deleted since a client has started this process
            raise WorkspaceGoneError.of(layout.directory)
        layout.prepare()
        with ControllerLock(layout.lock) as lock:
            from mljupyter.controller.lifecycle import run  # only the process that holds the lock

            asyncio.run(run(layout, arguments.idle_seconds, lock))
    except AlreadyRunningError as error:
        print(error.message, file=sys.stderr)
        return 3
    except MLJupyterError as error:
        print(error.message, file=sys.stderr)
        return 1
    except OSError as error:
        if logging.getLogger().handlers:  # the log is open: it gets the traceback as well
            logging.getLogger("mljupyter.controller").error("the controller ends", exc_info=error)
        print(stopped("the controller ends", error), file=sys.stderr)
        return 1
    return 0


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds >= 0:  # also refuses NaN, with which the controller would never stop
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds: it must be 0 or more")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
