"""The supervisor of a submitted script: starts it, waits for it, and stores its outputs and its status.

It is started as ``python -m mljupyter.workspace.run_supervisor WORKSPACE_DIRECTORY RUN_ID``.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mljupyter.detached import start_detached
from mljupyter.runtimes.process.processes import Identity
from mljupyter.tracking import statuses
from mljupyter.workspace import submission
from mljupyter.workspace.context import WorkspaceContext

_GRACE_SECONDS = 10.0
_LOOK_SECONDS = 0.5


class Supervisor:
    """Runs the script of one run.

    Parameters:
        context: the workspace.
        run_id: the run, which has been created.

    """

    def __init__(self, context: WorkspaceContext, run_id: str) -> None:
        self._context = context
        self._run_id = run_id
        self._stop_since: float | None = None
        self._timed_out = False

    def run(self) -> None:
        """Run the script until it has ended, and store its outputs."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop())
        runs = self._context.tracking.runs
        record = runs.change(self._run_id, process=submission.process_document(Identity.of(os.getpid())))
        status: int | None = None
        try:
            if record.status not in {statuses.CANCEL_REQUESTED, *statuses.FINAL}:
                status = self._script(record.submission or {}, str(record.snapshot_digest))
        except OSError as error:
            self._say(f"The script cannot be started: {error}")
        finally:
            runs.set_status(self._run_id, statuses.FINALIZING)
            submission.collect(self._context, self._run_id)
            ended = submission.end(self._context, self._run_id, status, timed_out=self._timed_out)
            if ended.status == statuses.COMPLETED:
                submission.remove_copies(self._context, self._run_id)

    def _script(self, document: Mapping[str, Any], snapshot: str) -> int:
        runs = self._context.tracking.runs
        runs.set_status(self._run_id, statuses.PREPARING)
        source = submission.source_of(self._context, self._run_id)
        if not source.exists():
            self._context.artifacts.fetch(snapshot, source, writable=True)
        for name in submission.OUTPUT_FOLDERS:
            (source / name).mkdir(exist_ok=True)
        with submission.log_of(self._context, self._run_id).open("ab") as log:
            child = start_detached(document["command"], source, log.fileno(), self._variables(document))
        identities = submission.process_document(Identity.of(os.getpid()), Identity.of(child.pid))
        runs.change(self._run_id, process=identities)
        runs.set_status(self._run_id, statuses.RUNNING)
        return self._wait(child, float(document.get("maxSeconds") or float("inf")))

    def _wait(self, child: subprocess.Popen[bytes], most_seconds: float) -> int:
        """Wait for the script. One that is to stop gets SIGTERM, and SIGKILL after a grace."""
        deadline, told = time.monotonic() + most_seconds, False
        while True:
            try:
                return child.wait(timeout=_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                if self._stop_since is None and time.monotonic() > deadline:
                    self._timed_out = True
                    self._stop()
                if self._stop_since is None:
                    continue
                over = time.monotonic() > self._stop_since + _GRACE_SECONDS
                if over or not told:
                    told = True
                    os.killpg(child.pid, signal.SIGKILL if over else signal.SIGTERM)

    def _stop(self) -> None:
        if self._stop_since is None:
            self._stop_since = time.monotonic()

    def _variables(self, document: Mapping[str, Any]) -> dict[str, str]:
        """Return the environment of the script: that of the notebook, that of its definition, and the run."""
        present = {**os.environ}
        if present.get("MPLBACKEND", "").startswith("module://"):
            del present["MPLBACKEND"]  # the figures of a kernel cannot be drawn without it
        return {
            **present,
            "PYTHONUNBUFFERED": "1",
            **document.get("environmentVariables", {}),
            **document.get("inputVariables", {}),
            submission.RUN_VARIABLE: self._run_id,
            submission.WORKSPACE_VARIABLE: str(self._context.directory),
        }

    def _say(self, text: str) -> None:
        with submission.log_of(self._context, self._run_id).open("a", encoding="utf-8") as log:
            log.write(f"{text}\n")


def main(directory: str, run_id: str) -> None:
    """Run the script of a run of the workspace in a directory."""
    context = WorkspaceContext(Path(directory))
    try:
        Supervisor(context, run_id).run()
    finally:
        context.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
