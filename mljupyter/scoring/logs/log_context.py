"""Request ids in the log: the worker marks each line that a script writes with the id of its request.

The server cannot know which of several concurrent requests a line belongs to; the thread that prints it can. Lines
that bypass `sys.stdout` and `sys.stderr` (native code, child processes) have no id.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The `x-request-id` of the request that this thread serves; empty if nothing needs it, since calls then omit it."""
ID_MARK = b"\x1d"
"""The byte before and after the id at the start of a line; ids cannot contain it."""
VARIABLE = "MLJUPYTER_REQUEST_IDS"
_TEXT_MARK = ID_MARK.decode()


def install() -> None:
    """Mark the lines of standard output and standard error from now on, if the server has asked for it."""
    if not is_enabled():
        return
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            encoding, errors = stream.encoding, stream.errors
            setattr(sys, name, MarkedStream(stream.detach(), encoding, errors, line_buffering=True))


def is_enabled() -> bool:
    """Return whether the server has asked for ids in the log."""
    return os.environ.get(VARIABLE) == "1"


def mark() -> bytes:
    """Return the mark of the current request, which starts each of its lines; empty outside of requests."""
    current = request_id.get() if is_enabled() else ""
    return ID_MARK + current.encode("utf-8", "replace") + ID_MARK if current else b""


class MarkedStream(io.TextIOWrapper):
    """A text stream that puts the current request's id before each line.

    A line is written when it is complete or flushed, so that lines of several threads do not mix.
    """

    def __init__(self, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*arguments, **options)
        self._unfinished = threading.local()

    def write(self, text: str) -> int:
        """Write text; an unfinished last line is kept until the rest of it comes."""
        pending: str = getattr(self._unfinished, "text", "")
        current = request_id.get()
        if not current and not pending:
            return super().write(text)
        whole, end, rest = (pending + text).rpartition("\n")
        self._unfinished.text = rest
        if end:
            super().write("".join(self._start(current) + line + "\n" for line in whole.split("\n")))
        return len(text)

    def flush(self) -> None:
        """Write the unfinished line of this thread as well."""
        pending: str = getattr(self.__dict__.get("_unfinished"), "text", "")
        if pending:
            self._unfinished.text = ""
            super().write(self._start(request_id.get()) + pending)
            self._unfinished.begun = True
        super().flush()

    def _start(self, current: str) -> str:
        """Return the mark for the next line; none if the start of the line has been flushed already."""
        if getattr(self._unfinished, "begun", False):
            self._unfinished.begun = False
            return ""
        return f"{_TEXT_MARK}{current}{_TEXT_MARK}" if current else ""
