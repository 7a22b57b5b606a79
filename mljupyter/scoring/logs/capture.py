"""The capture of log lines: the output of workers and the messages of the server go to one log.

A thread writes them, so that a slow disk does not delay the HTTP loop. The worker's output comes through pipes: when
the thread cannot keep up, the pipe fills and the script's `print` waits. So memory stays bounded, and no line is lost.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from mljupyter.scoring.configuration import Configuration, ConfigurationError
from mljupyter.scoring.logs.diagnostics import RECORD_MARK
from mljupyter.scoring.logs.log_context import ID_MARK
from mljupyter.scoring.logs.output import LEVEL_OF_LETTER, RotatingFile, Sink, StandardOutput, prefix

PRINT: Final = "azmlinfsrv.print"
STDERR: Final = "azmlinfsrv.stderr"
_READ_BYTES = 32768
_MAX_LINE_BYTES = 65536
_MAX_RECORDS = 10_000
_GATHER_SECONDS = 0.005  # lines in quick succession are handled together, since a wake-up costs more than a line
_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR

Observer = Callable[[str, str, bytes, bytes], None]
"""A callback for each line of the script: level letter, logger name, id of the request or empty, text."""


def open_sink(configuration: Configuration) -> Sink:
    """Open the log that the configuration names; raise ConfigurationError when that fails."""
    if configuration.log_file is None:
        return StandardOutput()
    try:
        return RotatingFile(configuration.log_file, configuration.log_max_bytes, configuration.log_backups)
    except OSError as error:
        raise ConfigurationError(f"cannot open --log-file {configuration.log_file}: {error.strerror}") from error


class _Stream:
    """One captured pipe: its unfinished line, and the prefix of its lines."""

    def __init__(self, descriptor: int, pid: int, logger: str, observer: Observer | None) -> None:
        self.descriptor = descriptor
        self.pid = pid
        self.logger = logger
        self.read_at = 0.0  # when it has last brought something
        self._observer = observer
        self._rest = b""

    def lines(self, data: bytes, threshold: int) -> bytes:
        """Return the complete lines with their prefixes; empty `data` means the end of the stream."""
        text = self._rest + data
        if data and len(text) < _MAX_LINE_BYTES:
            end = text.rfind(b"\n") + 1
            text, self._rest = text[:end], text[end:]
        else:
            self._rest = b""
        if not text:
            return b""
        text = text.removesuffix(b"\n")
        if self._observer is not None or RECORD_MARK in text or ID_MARK in text:
            return b"".join(self._marked(line, threshold) for line in text.split(b"\n"))
        return self._plain(text, threshold)

    def _plain(self, text: bytes, threshold: int) -> bytes:
        level = "I" if self.logger == PRINT else "W"
        if self.logger == PRINT and LEVEL_OF_LETTER[level] < threshold:
            return b""  # standard error is never filtered: it may hold the only trace of a crash
        start = prefix(level, self.pid, self.logger)
        return start + text.replace(b"\n", b"\n" + start) + b"\n"

    def _marked(self, line: bytes, threshold: int) -> bytes:
        level, logger = "I" if self.logger == PRINT else "W", self.logger
        never_filtered = self.logger != PRINT
        words = line.split(b" ", 2)
        if line.startswith(RECORD_MARK) and len(words) == 3:
            letter = words[0][1:].decode("ascii", "replace")
            if letter in LEVEL_OF_LETTER:
                level, logger, line = letter, words[1].decode("ascii", "replace"), words[2]
                never_filtered = False
        if LEVEL_OF_LETTER[level] < threshold and not never_filtered:
            return b""
        request = b""
        if line.startswith(ID_MARK):
            request, _, line = line[1:].partition(ID_MARK)
        if self._observer is not None:
            self._observer(level, logger, request, line)
        shown = b"[" + request + b"] " + line if request else line
        return prefix(level, self.pid, logger) + shown + b"\n"


class LogCapture(threading.Thread):
    """The thread that writes the log; other threads may call `record` and `add`.

    `observer`, if set before the first `add`, is called with each line of the script.
    """

    def __init__(self, sink: Sink, threshold: int) -> None:
        super().__init__(name="log", daemon=True)
        self._sink = sink
        self._threshold = threshold
        self._poll = select.poll()
        self._streams: dict[int, _Stream] = {}
        self._records: deque[bytes] = deque()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_reader, False)
        os.set_blocking(self._wake_writer, False)
        self._poll.register(self._wake_reader, select.POLLIN)
        self._deadline: float | None = None
        self._dropped = 0
        self.observer: Observer | None = None

    def add(self, descriptor: int, pid: int, logger: str) -> None:
        """Capture a pipe until its end; this thread will close the descriptor."""
        self._streams[descriptor] = _Stream(descriptor, pid, logger, self.observer)
        self._poll.register(descriptor, select.POLLIN)
        self._wake()

    def last_error_output(self, pid: int) -> float:
        """Return when the standard error of a process has last brought something, by `time.monotonic`; 0 if never."""
        streams = list(self._streams.values())  # the thread changes them
        return max((one.read_at for one in streams if one.pid == pid and one.logger == STDERR), default=0.0)

    def record(self, level: str, text: str, logger: str = "azmlinfsrv") -> None:
        """Log a message of the server itself; `level` is one of D, I, W, E, C."""
        if LEVEL_OF_LETTER[level] < self._threshold:
            return
        start = prefix(level, os.getpid(), logger)
        body = text.rstrip("\n").encode("utf-8", "replace")
        self.write_lines(start + body.replace(b"\n", b"\n" + start) + b"\n")

    def write_lines(self, lines: bytes) -> bool:
        """Write complete lines unchanged; return False if too many wait already, so that these are dropped."""
        if len(self._records) >= _MAX_RECORDS:
            self._dropped += 1
            return False
        self._records.append(lines)
        self._wake()
        return True

    def close(self, seconds: float = 1.0) -> None:
        """Write the remaining lines; wait at most `seconds` for pipes that a process still holds open."""
        self._deadline = time.monotonic() + seconds
        self._wake()
        self.join(seconds + 0.5)

    def run(self) -> None:
        """Move lines from the pipes to the sink until closed."""
        while True:
            filled = self._move(self._poll.poll(200 if self._deadline else None))
            if self._deadline is None:
                if not filled:
                    time.sleep(_GATHER_SECONDS)
            elif not self._streams or time.monotonic() > self._deadline:
                break
        self._write_records()
        self._sink.close()

    def _move(self, events: list[tuple[int, int]]) -> bool:
        """Handle the events of the poll; return whether a pipe may have more data than one read returns."""
        filled = False
        for descriptor, event in events:
            if descriptor == self._wake_reader:
                os.read(descriptor, 4096)
            elif event & _READABLE:
                filled |= self._read(self._streams[descriptor])
        self._write_records()
        return filled

    def _read(self, stream: _Stream) -> bool:
        data = os.read(stream.descriptor, _READ_BYTES)
        if not data:
            self._poll.unregister(stream.descriptor)
            del self._streams[stream.descriptor]
            os.close(stream.descriptor)
        stream.read_at = time.monotonic()
        self._write(stream.lines(data, self._threshold))
        return len(data) == _READ_BYTES

    def _write_records(self) -> None:
        while self._records:
            self._write(self._records.popleft())

    def _write(self, data: bytes) -> None:
        if not data:
            return
        try:
            if self._dropped:
                notice = f"{self._dropped} log lines could not be written and were dropped\n"
                self._sink.write(prefix("W", os.getpid(), "azmlinfsrv") + notice.encode())
                self._dropped = 0
            self._sink.write(data)
        except OSError:
            self._dropped += data.count(b"\n")  # a full disk loses log lines, but fails no request

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # then a wake-up is already pending
            os.write(self._wake_writer, b"w")
