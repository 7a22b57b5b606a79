"""What a worker writes to the log about the user's code: records, tracebacks, the model directory."""

# ruff: noqa: PTH100, PTH112, PTH118, PTH120, PTH202
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import os
import sys
import traceback

from mljupyter.scoring.worker.log_context import tag

RECORD_MARK = b"\x1e"
"""Starts a line on standard error that already carries its level and logger name, see `write_record`."""
MAX_LISTED = 200
_OUR_DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def write_record(level: str, logger: str, text: str) -> None:
    """Write lines to the log under a level letter and a logger name of ours.

    They take the same way as what the script prints, so that they stay in order with it.
    """
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()
    mark = RECORD_MARK + f"{level} {logger} ".encode() + tag()
    lines = text.rstrip("\n").encode("utf-8", "replace").split(b"\n")
    data = memoryview(b"".join(mark + line + b"\n" for line in lines))
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass  # the front is gone or the script closed its standard error: nobody is left to tell


def user_traceback(error: BaseException) -> str:
    """Return the traceback of an error without the frames of this package that lead to the user's code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OUR_DIRECTORY):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def directory_listing(directory: str | None) -> str:
    """Return what is in the model directory, at most 200 lines (Azure ML v1: script checks)."""
    if not directory:
        return "No model directory is set (AZUREML_MODEL_DIR)."
    if not os.path.isdir(directory):
        return f"The model directory {directory} does not exist."
    lines: list[str] = []
    for folder, folders, files in os.walk(directory):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            if len(lines) == MAX_LISTED - 1:
                return "\n".join([f"Files in the model directory {directory}, the first ones:", *lines[:-1], "  ..."])
            lines.append(f"  {os.path.relpath(path, directory)} ({_size(path)})")
    return "\n".join([f"Files in the model directory {directory}:", *(lines or ["  none"])])


def _size(path: str) -> str:
    try:
        return f"{os.path.getsize(path)} bytes"
    except OSError as error:
        return error.strerror or "unreadable"
