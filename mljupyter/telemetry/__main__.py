"""The exporter process ``python -m mljupyter.telemetry``, which sends request logs. The controller starts it.

It ends when its standard input is closed, by the controller or by the controller's end.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import logging.handlers
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from mljupyter.runtimes.base import ReplicaLog, RuntimeUnavailableError
from mljupyter.runtimes.catalog import KINDS
from mljupyter.telemetry.export.destination import TelemetryError, configured
from mljupyter.telemetry.export.exporters import exporters_for
from mljupyter.telemetry.export.pipeline import Pipeline, state_file

NOT_INSTALLED = 3
_LOOK_EVERY = 0.5
_LAST_LOOK_SECONDS = 3.0
_LOG_BYTES = 1_000_000

log = logging.getLogger("mljupyter.telemetry")


def main(arguments: Sequence[str]) -> int:
    """Send records until standard input is closed."""
    parser = argparse.ArgumentParser(prog="python -m mljupyter.telemetry")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--replicas", type=Path, required=True)
    parser.add_argument("--target", action="append", default=[], choices=[kind.target for kind in KINDS])
    given = parser.parse_args(arguments)
    os.umask(0o077)
    _log_to(given.control / "telemetry.log")
    try:
        exporters = exporters_for(configured(given.control))
    except TelemetryError as error:
        print(error.message, file=sys.stderr)
        return NOT_INSTALLED
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # standard error is not read from now on
    lock = (given.control / "telemetry.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # the exporter of a crashed controller may still send its last records
    ending = threading.Event()
    find = _sources(given.workspace, given.replicas, given.target)
    threads = [
        threading.Thread(
            target=_run, args=(Pipeline(exporter, find, state_file(given.control, exporter.name)), ending), daemon=True
        )
        for exporter in exporters
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ending.set()
    for thread in threads:
        thread.join(_LAST_LOOK_SECONDS)
    return 0


def _run(pipeline: Pipeline, ending: threading.Event) -> None:
    while True:
        last = ending.is_set()
        try:
            pause = pipeline.send()
        except Exception:
            log.exception("records could not be sent")
            pause = _LOOK_EVERY
        if last and pause != 0.0:
            return
        ending.wait(_LOOK_EVERY if pause is None else pause)


def _sources(workspace: Path, replicas: Path, targets: Sequence[str]) -> Callable[[], Sequence[ReplicaLog]]:
    """Return a function that lists the request logs of processes, and of the replicas of the named targets."""
    kinds = [kind for kind in KINDS if kind.own_processes or kind.target in targets]
    sources = [kind.request_logs(workspace, replicas) for kind in kinds]

    def find() -> Sequence[ReplicaLog]:
        found: list[ReplicaLog] = []
        for source in sources:
            try:
                found += source()
            except RuntimeUnavailableError as error:
                log.warning("%s", error.message)
        return found

    return find


def _log_to(file: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
