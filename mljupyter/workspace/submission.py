"""Submitted scripts: each runs as a process on this machine, with a supervisor that outlives the kernel.

The supervisor is `mljupyter.workspace.run_supervisor`. The folder of a run, ``runs/ID`` in the workspace, has the copy
of its source directory, its inputs and its log.
"""

from __future__ import annotations

import codecs
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mljupyter.detached import start_detached
from mljupyter.exceptions import ExperimentExecutionException
from mljupyter.runtimes.process.processes import Identity
from mljupyter.tracking import statuses
from mljupyter.workspace_folders import make_folder

if TYPE_CHECKING:
    from mljupyter.tracking.runs import RunRecord
    from mljupyter.workspace.context import WorkspaceContext

RUN_VARIABLE = "AZUREML_RUN_ID"
WORKSPACE_VARIABLE = "MLJUPYTER_RUN_WORKSPACE"
LOG_NAME = "azureml-logs/70_driver_log.txt"
OUTPUT_FOLDERS = ("outputs", "logs")
_LAST_LINES = 10
_LOOK_EVERY = 0.1
_CHILDREN: list[subprocess.Popen[bytes]] = []


def folder_of(context: WorkspaceContext, run_id: str) -> Path:
    """Return the folder of a submitted run in the workspace."""
    return context.directory / "runs" / run_id


def source_of(context: WorkspaceContext, run_id: str) -> Path:
    """Return the directory that the script of a run works in."""
    return folder_of(context, run_id) / "source"


def log_of(context: WorkspaceContext, run_id: str) -> Path:
    """Return the log of a run: the output of its script."""
    return folder_of(context, run_id) / LOG_NAME


def start(context: WorkspaceContext, run_id: str) -> RunRecord:
    """Start the supervisor of a run, which starts the script, and return the run.

    Raises:
        ExperimentExecutionException: it could not be started; the run has failed.

    """
    runs = context.tracking.runs
    try:
        child = _started(context, run_id)
    except OSError as error:
        reason = f"The process that supervises the script could not be started: {error.strerror or error}."
        runs.set_status(run_id, statuses.FAILED, error={"code": "ServiceError", "message": reason})
        raise ExperimentExecutionException(f"{reason} Run {run_id!r} has failed.") from None
    return (
        runs.change(run_id, process=process_document(Identity.of(child.pid)))
        if child.poll() is None
        else _looked(context, runs.get(run_id))
    )


def _started(context: WorkspaceContext, run_id: str) -> subprocess.Popen[bytes]:
    folder = folder_of(context, run_id)
    make_folder(context.directory, *log_of(context, run_id).parent.relative_to(context.directory).parts)
    log_of(context, run_id).touch(mode=0o600)
    descriptor = os.open(folder / "supervisor.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        command = [sys.executable, "-m", "mljupyter.workspace.run_supervisor", str(context.directory), run_id]
        child = start_detached(command, folder, descriptor)
    finally:
        os.close(descriptor)
    _CHILDREN[:] = [one for one in (*_CHILDREN, child) if one.poll() is None]  # no zombies of ended runs
    return child


def process_document(supervisor: Identity | None, script: Identity | None = None) -> dict[str, object]:
    """Return the document that identifies the processes of a run, on this machine."""
    found: dict[str, object] = {"host": socket.gethostname()}
    for name, identity in (("supervisor", supervisor), ("script", script)):
        if identity is not None:
            found[name] = {"pid": identity.pid, "start": identity.start}
    return found


def looked_at(context: WorkspaceContext, record: RunRecord) -> RunRecord:
    """Return a run as it is now. A run whose supervisor has gone is ended.

    A run of another machine is returned as it is in the database.
    """
    if record.status in statuses.FINAL or record.process is None or record.submission is None:
        return record
    if record.process.get("host") != socket.gethostname() or _alive(record, "supervisor"):
        return record
    return _looked(context, context.tracking.runs.get(record.id))


def cancel(context: WorkspaceContext, record: RunRecord) -> RunRecord:
    """Ask a run to end, and return it. Its script gets SIGTERM, and SIGKILL ten seconds later.

    A run without a supervisor ends at once: the process that submitted it has ended before it started one.
    """
    runs = context.tracking.runs
    is_supervised = record.submission is not None and record.process is not None
    record = runs.set_status(record.id, statuses.CANCEL_REQUESTED if is_supervised else statuses.CANCELED)
    for name in ("supervisor",) if record.process and record.process.get("host") == socket.gethostname() else ():
        if (identity := _identity(record, name)) is not None:
            identity.signal(signal.SIGTERM)
    return looked_at(context, record)


def follow(context: WorkspaceContext, run_id: str, on_text: Callable[[str], object] | None = None) -> RunRecord:
    """Wait until a run has ended, and return it.

    Parameters:
        context: the workspace.
        run_id: the run.
        on_text: gets the output of the script as it appears; whole lines, except for the last.

    """
    text = _grown(log_of(context, run_id))
    while True:
        record = looked_at(context, context.tracking.runs.get(run_id))
        more = next(text)  # read after the status: nothing is missing when the run has ended
        if more and on_text is not None:
            on_text(more)
        if record.status in statuses.FINAL:
            return record
        time.sleep(_LOOK_EVERY)


def collect(context: WorkspaceContext, run_id: str) -> None:
    """Store the outputs and the log of a run in the artifact store."""
    runs = context.tracking.runs
    source = source_of(context, run_id)
    for name in OUTPUT_FOLDERS:
        if (source / name).is_dir():
            runs.put_folder(run_id, source / name, name, replace=True)
    if log_of(context, run_id).exists():
        runs.put_files(run_id, {LOG_NAME: log_of(context, run_id)}, replace=True)


def remove_copies(context: WorkspaceContext, run_id: str) -> None:
    """Remove the copies of the source directory and of the inputs of a run; its log and its stored files stay."""
    for folder in (source_of(context, run_id), folder_of(context, run_id) / "inputs"):
        shutil.rmtree(folder, ignore_errors=True)


def cancel_all(context: WorkspaceContext) -> None:
    """Cancel the submitted runs of a workspace that have not ended, and wait until they have."""
    if not (context.directory / "runs").is_dir():
        return
    running = [run for run in context.tracking.runs.list() if run.submission and run.status not in statuses.FINAL]
    for run in running:
        cancel(context, run)
    for run in running:
        follow(context, run.id)


def end(context: WorkspaceContext, run_id: str, exit_status: int | None, *, timed_out: bool = False) -> RunRecord:
    """Set the final status of a run whose script has ended, and return the run."""
    runs = context.tracking.runs
    status, reason = statuses.outcome(runs.get(run_id).status, exit_status, timed_out)
    error = None
    if reason is not None:
        last = last_lines(context, run_id)
        error = {"code": "UserError", "message": f"{reason} Its last lines:\n{last}" if last else reason}
    return runs.set_status(run_id, status, error=error)


def last_lines(context: WorkspaceContext, run_id: str) -> str:
    """Return the last lines of the output of a run's script."""
    with suppress(FileNotFoundError):
        lines = log_of(context, run_id).read_text(errors="replace", encoding="utf-8").splitlines()
        return "\n".join(lines[-_LAST_LINES:])
    return ""


def _looked(context: WorkspaceContext, record: RunRecord) -> RunRecord:
    """Return a run whose supervisor has ended; end it if the supervisor has not."""
    if record.status in statuses.FINAL:
        return record
    if (script := _identity(record, "script")) is not None:
        script.signal(signal.SIGKILL)
    collect(context, record.id)
    if record.status == statuses.CANCEL_REQUESTED:
        return context.tracking.runs.set_status(record.id, statuses.CANCELED)
    error = {"code": "ServiceError", "message": "The process that supervised the script has ended."}
    return context.tracking.runs.set_status(record.id, statuses.FAILED, error=error)


def _alive(record: RunRecord, name: str) -> bool:
    identity = _identity(record, name)
    return identity is not None and identity.alive()


def _identity(record: RunRecord, name: str) -> Identity | None:
    found = (record.process or {}).get(name)
    return Identity(int(found["pid"]), str(found.get("start"))) if found else None


def _grown(path: Path) -> Iterator[str]:
    """Yield the text that a file has got since the last time; a character that is not complete waits."""
    while not path.exists():
        yield ""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    with path.open("rb") as file:
        while True:
            yield decoder.decode(file.read())
