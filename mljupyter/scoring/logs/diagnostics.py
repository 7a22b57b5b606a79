"""Log records that a worker writes about the user's code: errors, tracebacks, the content of the model directory."""

# ruff: noqa: PTH100, PTH112, PTH118, PTH120, PTH202
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import os
import sys
import traceback

from mljupyter.scoring.logs.log_context import mark

RECORD_MARK = b"\x1e"
"""The first byte of a line on standard error that brings its own level and logger name, see `write_record`."""
MAX_LISTED = 200
_OUR_DIRECTORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def write_record(level: str, logger: str, text: str) -> None:
    """Write lines to the log with a level letter and a logger name.

    They go through the same pipe as the output of the script, so that both stay in order.
    """
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()
    start = RECORD_MARK + f"{level} {logger} ".encode() + mark()
    lines = text.rstrip("\n").encode("utf-8", "replace").split(b"\n")
    data = memoryview(b"".join(start + line + b"\n" for line in lines))
    try:
        while data:
            data = data[os.write(2, data) :]
    except OSError:
        pass  # the server is gone, or the script closed its standard error: there is nowhere left to write


def user_traceback(error: BaseException) -> str:
    """Return the traceback of an error, without the frames of this package above the user's code."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OUR_DIRECTORY):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def directory_listing(directory: str | None) -> str:
    """List the files in the model directory, at most 200 lines (Azure ML v1: script checks)."""
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
