"""Mark the lines that a request makes the script write with the request's id, in the worker.

The front cannot know which of several requests a line belongs to; the thread that prints it can. Lines that come past
`sys.stdout` and `sys.stderr`, from native code or child processes, stay without an id.
"""

from __future__ import annotations

import io
import os
import sys
import threading

from mljupyter.scoring.shims.current_request import request_id

ID_MARK = b"\x1d"
"""Stands before and after the id of the request that a line belongs to; no id holds it."""
VARIABLE = "MLJUPYTER_REQUEST_IDS"
_TEXT_MARK = ID_MARK.decode()


def install() -> None:
    """Let standard output and standard error mark their lines from now on, if the front asks for it."""
    if not wanted():
        return
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            encoding, errors = stream.encoding, stream.errors
            setattr(sys, name, TaggedStream(stream.detach(), encoding, errors, line_buffering=True))


def wanted() -> bool:
    """Whether the front wants lines with ids."""
    return os.environ.get(VARIABLE) == "1"


def tag() -> bytes:
    """Return what stands before a line of the current request; nothing outside of requests."""
    current = request_id.get() if wanted() else ""
    return ID_MARK + current.encode("utf-8", "replace") + ID_MARK if current else b""


class TaggedStream(io.TextIOWrapper):
    """A text stream that puts the current request's id before each line.

    A line is written when it is complete or flushed, so that those of several threads do not mix.
    """

    def __init__(self, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
        super().__init__(*arguments, **options)
        self._unfinished = threading.local()

    def write(self, text: str) -> int:
        """Write text; what follows its last line end waits for the rest of the line."""
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
        """Write what this thread has begun, too."""
        pending: str = getattr(self.__dict__.get("_unfinished"), "text", "")
        if pending:
            self._unfinished.text = ""
            super().write(self._start(request_id.get()) + pending)
            self._unfinished.begun = True
        super().flush()

    def _start(self, current: str) -> str:
        """Return the mark for the next line; none where the line has begun already."""
        if getattr(self._unfinished, "begun", False):
            self._unfinished.begun = False
            return ""
        return f"{_TEXT_MARK}{current}{_TEXT_MARK}" if current else ""
