"""The process that sends records of requests: ``python -m mljupyter.telemetry``, started by the controller.

It ends when its standard input does: with the controller, or when the controller wants it to.
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
from mljupyter.runtimes.process.log_files import record_logs
from mljupyter.telemetry.export.destination import TelemetryError, configured
from mljupyter.telemetry.export.exporters import exporters_for
from mljupyter.telemetry.export.pipeline import Pipeline, state_file

NOT_INSTALLED = 3
_LOOK_EVERY = 0.5
_LAST_LOOK_SECONDS = 3.0
_LOG_BYTES = 1_000_000

log = logging.getLogger("mljupyter.telemetry")


def main(arguments: Sequence[str]) -> int:
    """Send records until told to end."""
    parser = argparse.ArgumentParser(prog="python -m mljupyter.telemetry")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--replicas", type=Path, required=True)
    parser.add_argument("--docker", action="store_true")
    given = parser.parse_args(arguments)
    os.umask(0o077)
    _log_to(given.control / "telemetry.log")
    try:
        exporters = exporters_for(configured(given.control))
    except TelemetryError as error:
        print(error.message, file=sys.stderr)
        return NOT_INSTALLED
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # nobody reads it from now on
    lock = (given.control / "telemetry.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # that of a controller that crashed sends its last records
    ending = threading.Event()
    find = _sources(given.replicas, str(given.workspace) if given.docker else None)
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


def _sources(replicas: Path, workspace: str | None) -> Callable[[], Sequence[ReplicaLog]]:
    """Return what finds the records of processes and, with a workspace, of its containers."""
    if workspace is None:
        return lambda: record_logs(replicas)
    from mljupyter.runtimes.docker import container_spec, runtime

    client = container_spec.connect()

    def find() -> Sequence[ReplicaLog]:
        try:
            contained = runtime.record_logs(client, workspace)
        except RuntimeUnavailableError as error:
            log.warning("%s", error.message)
            contained = []
        return [*record_logs(replicas), *contained]

    return find


def _log_to(file: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=_LOG_BYTES, backupCount=1, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
