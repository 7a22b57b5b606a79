"""Programs that create and delete clusters: followed line by line, bounded in output and time, and cancellable."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event

from mljupyter.build.environments.definition import redacted
from mljupyter.exceptions import ComputeTargetException
from mljupyter.visible import one_line

WITHIN_SECONDS = 3600.0
"""The longest time that a program may take."""

MOST_LINES = 5000
MOST_CHARACTERS = 500
LAST_LINES = 5
MOST_OUTPUT_BYTES = 1_000_000
_POLL_SECONDS = 0.2
_DRAIN_SECONDS = 1.0
_END_SECONDS = 10.0
_CHUNK_BYTES = 65536


class ProgramError(ComputeTargetException):
    """A program cannot be started, fails, or takes too long. The text has its last lines."""


class CancelledError(ComputeTargetException):
    """A program was ended because its work was cancelled."""


def run(
    arguments: Sequence[str],
    on_line: Callable[[str], None],
    *,
    cancel: Event | None = None,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
    captured: bool = False,
    within: float = WITHIN_SECONDS,
    shown: str | None = None,
) -> str:
    """Run a program without a shell, and pass its lines on.

    Parameters:
        arguments: the program and its arguments.
        on_line: called with each line; a long one is cut, and after 5,000 lines the rest is left out.
        cancel: ends the program, and all that it has started, when it is set.
        environment: variables besides those of this process.
        directory: the working directory; by default that of this process.
        captured: return standard output instead of passing it on; the lines are then those of standard error.
        within: seconds after which the program is ended.
        shown: the command for errors; by default the program with its arguments.

    Returns:
        The standard output, if `captured`; else an empty text.

    Raises:
        ProgramError: it cannot be started, its exit status is not 0, it took too long, or its output is too large.
        CancelledError: `cancel` was set.

    """
    name = one_line(redacted(shown or shlex.join(arguments)))[:MOST_CHARACTERS]
    try:
        child = subprocess.Popen(
            list(arguments),
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if captured else subprocess.STDOUT,
            process_group=0,  # a Ctrl-C ends the waiting of this process, not the work of the program
        )
    except OSError as error:
        raise ProgramError(f"{name} cannot be started: {error.strerror or error}") from None
    lines = _Lines(on_line)
    try:
        output = _follow(child, lines, captured, cancel, time.monotonic() + within)
    except _TooLongError:
        raise ProgramError(lines.failure(f"{name} did not end within {within:g} s")) from None
    finally:
        _end(child)
    if child.returncode:
        raise ProgramError(lines.failure(f"{name} ended with exit status {child.returncode}"))
    if len(output) > MOST_OUTPUT_BYTES:
        raise ProgramError(f"{name} printed more than {MOST_OUTPUT_BYTES:,} bytes on standard output.")
    return output.decode("utf-8", "replace")


class _TooLongError(Exception):
    """The program did not end in time."""


class _Lines:
    """The lines of a program: passed on within a limit, the last ones kept."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._count = 0

    def take(self, raw: bytes) -> None:
        """Take one line."""
        shown = raw.rstrip().rpartition(b"\r")[2]  # a progress bar writes over its line
        text = one_line(redacted(shown.decode("utf-8", "replace").rstrip()))
        if not text:
            return
        text = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
        self._last.append(text)
        self._count += 1
        if self._count <= MOST_LINES:
            self._on_line(text)
        elif self._count == MOST_LINES + 1:
            self._on_line("... (further lines are left out)")

    def failure(self, text: str) -> str:
        """Return the text of an error with the last lines."""
        return "\n".join([f"{text}{':' if self._last else '.'}", *(f"  {line}" for line in self._last)])


def _follow(
    child: subprocess.Popen[bytes], lines: _Lines, captured: bool, cancel: Event | None, deadline: float
) -> bytes:
    """Pass the lines on until the program has ended; return its captured output."""
    output, rest = bytearray(), b""
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                stack.enter_context(pipe)
                selector.register(pipe, selectors.EVENT_READ)
        ended_at: float | None = None
        while selector.get_map():
            if cancel is not None and cancel.is_set():
                raise CancelledError("the work was cancelled")
            now = time.monotonic()
            if now > deadline:
                raise _TooLongError
            if child.poll() is not None:
                # Something that it has started in the background may hold the pipes open.
                ended_at = ended_at or now
                if now > ended_at + _DRAIN_SECONDS:
                    break
            for key, _ in selector.select(_POLL_SECONDS):
                data = os.read(key.fd, _CHUNK_BYTES)
                if not data:
                    selector.unregister(key.fileobj)
                elif captured and key.fileobj is child.stdout:
                    output += data[: MOST_OUTPUT_BYTES + 1 - len(output)]
                else:
                    *complete, rest = (rest + data).split(b"\n")
                    rest = rest[-_CHUNK_BYTES:]
                    for line in complete:
                        lines.take(line)
        lines.take(rest)
        while child.poll() is None:  # it has closed its output before its end
            if cancel is not None and cancel.is_set():
                raise CancelledError("the work was cancelled")
            if time.monotonic() > deadline:
                raise _TooLongError
            time.sleep(_POLL_SECONDS)
    return bytes(output)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, with all that it has started."""
    if child.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_END_SECONDS)
            return
