"""The statuses of runs, and the rules for their changes (Azure ML v1: Run.get_status)."""

from __future__ import annotations

NOT_STARTED = "NotStarted"
STARTING = "Starting"
PREPARING = "Preparing"
RUNNING = "Running"
FINALIZING = "Finalizing"
CANCEL_REQUESTED = "CancelRequested"
COMPLETED = "Completed"
FAILED = "Failed"
CANCELED = "Canceled"

FINAL = frozenset({COMPLETED, FAILED, CANCELED})


def allowed(present: str, wanted: str) -> bool:
    """Return whether a run may change from one status to another.

    A status that is final stays. After a cancellation was requested, the run only ends.

    Example:
        >>> allowed("Running", "Completed"), allowed("Failed", "Completed"), allowed("CancelRequested", "Running")
        (True, False, False)

    """
    if present in FINAL:
        return False
    return present != CANCEL_REQUESTED or wanted in FINAL


def outcome(present: str, exit_status: int | None, timed_out: bool) -> tuple[str, str | None]:
    """Return the final status of a submitted script, and the reason if it failed.

    Parameters:
        present: the run's status when the process had ended; a script may have ended its own run.
        exit_status: of the process; negative for a signal, None if it could not be started.
        timed_out: whether it was stopped because its time was over.

    Example:
        >>> outcome("Running", 0, False), outcome("CancelRequested", -15, False)
        (('Completed', None), ('Canceled', None))

    """
    if present in FINAL:
        return present, None
    if timed_out:
        return FAILED, "The script ran longer than max_run_duration_seconds, and was stopped."
    if present == CANCEL_REQUESTED:
        return CANCELED, None
    if exit_status == 0:
        return COMPLETED, None
    if exit_status is None:
        return FAILED, "The script could not be started."
    how = f"signal {-exit_status}" if exit_status < 0 else f"exit status {exit_status}"
    return FAILED, f"The script ended with {how}."
