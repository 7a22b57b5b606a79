"""The worker's connection to its server: frames in and out, and the windows of streamed answers."""

from __future__ import annotations

import os
import select
from collections import deque
from collections.abc import Sequence
from threading import Event, Lock

from mljupyter.scoring import protocol
from mljupyter.scoring.worker.script import Outcome

_READ_BYTES = 65536
_LOOK_SECONDS = 0.05  # a stream that waits for another thread to read looks again after this time


class Window:
    """The part of a streamed answer that may be sent, until its client has taken more.

    The thread that sends changes `sent` alone, and the one that reads the socket the rest: no change is lost.
    """

    def __init__(self, call: int) -> None:
        self.call = call
        self.sent = 0
        self.granted = protocol.WINDOW_BYTES
        self.cancelled = False
        self.changed = Event()

    @property
    def is_closed(self) -> bool:
        """Whether nothing may be sent now, though the answer goes on."""
        return self.sent >= self.granted and not self.cancelled


class Channel:
    """The worker's end of the socket pair to its server; threads may share it.

    One thread at a time reads. It keeps calls for all threads, and passes the server's messages about streamed answers
    to the threads that send them. Such a thread reads itself while no other does.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = protocol.FrameDecoder()
        self._frames: deque[protocol.Frame] = deque()
        self._reading = Lock()
        self._writing = Lock()
        self._windows: dict[int, Window] = {}

    def receive(self) -> protocol.Frame | None:
        """Return the next frame; None when the server has closed its end."""
        with self._reading:
            frame = self._next()
        if self._windows:
            self._wake()
        return frame

    def receive_calls(self) -> list[protocol.Frame]:
        """Return the calls for the next `run()`, several if they are a batch; an empty list when the server is gone."""
        with self._reading:
            calls: list[protocol.Frame] = []
            wanted = 1
            while len(calls) < wanted:
                frame = self._next()
                if frame is None:
                    return []
                if frame.kind == protocol.BATCH:
                    wanted = frame.call
                else:
                    calls.append(frame)
            return calls

    def send(self, kind: int, call: int = 0, head: bytes = b"", body: bytes = b"") -> None:
        """Send one frame."""
        self._write(protocol.PREFIX.pack(kind, call, len(head), len(body)) + head, body)

    def send_answers(self, answers: Sequence[tuple[int, Outcome]]) -> None:
        """Send the answers of several calls together, so that the server handles them in one turn of its event loop."""
        parts = []
        for call, (status, flags, seconds, body, headers) in answers:
            head = protocol.ANSWER_HEAD.pack(status, flags, seconds) + headers
            parts += [protocol.PREFIX.pack(protocol.ANSWER, call, len(head), len(body)), head, body]
        self._write(b"".join(parts))  # one part: writev() takes at most 1024

    def open_window(self, call: int) -> Window:
        """Begin a streamed answer."""
        window = self._windows[call] = Window(call)
        return window

    def close_window(self, window: Window) -> None:
        """End a streamed answer."""
        del self._windows[window.call]
        self._wake()

    def send_pieces(self, window: Window, data: bytes) -> bool:
        """Send a part of a streamed answer, once its client has taken enough; return False when it takes no more."""
        for start in range(0, max(len(data), 1), protocol.PIECE_BYTES):
            piece = data[start : start + protocol.PIECE_BYTES]
            self._look()
            while window.is_closed:
                self._wait(window)
            if window.cancelled:
                return False
            window.sent += len(piece)
            self.send(protocol.PIECE, window.call, body=piece)
        return True

    def _next(self) -> protocol.Frame | None:
        while not self._frames:
            if not self._read():
                return None
        return self._frames.popleft()

    def _read(self) -> bool:
        """Read what has come, or wait for it; return False when the server has closed its end."""
        data = os.read(self._descriptor, _READ_BYTES)
        for frame in self._decoder.feed(data):
            if frame.kind < protocol.GRANT:
                self._frames.append(frame)
            else:
                self._change_window(frame)
        return bool(data)

    def _change_window(self, frame: protocol.Frame) -> None:
        window = self._windows.get(frame.call)
        if window is None:
            return
        if frame.kind == protocol.CANCEL:
            window.cancelled = True
        else:
            window.granted += protocol.GRANTED.unpack(frame.head)[0]
        window.changed.set()

    def _look(self) -> None:
        """Read the messages about streamed answers that have come, unless another thread reads."""
        if self._reading.acquire(blocking=False):
            try:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLIN)
                while poll.poll(0) and self._read():
                    pass
            finally:
                self._reading.release()

    def _wait(self, window: Window) -> None:
        """Wait for a message about a streamed answer, or a part of the time until one comes.

        If calls have come, another thread is about to take them and needs the lock for it.
        """
        if self._frames or not self._reading.acquire(blocking=False):
            window.changed.wait(_LOOK_SECONDS)
            window.changed.clear()
            return
        try:
            if window.is_closed and not self._frames and not self._read():
                window.cancelled = True  # the server is gone
        finally:
            self._reading.release()

    def _wake(self) -> None:
        """Let the threads that send streamed answers look whether one of them has to read now."""
        for window in list(self._windows.values()):
            window.changed.set()

    def _write(self, *parts: bytes) -> None:
        """Write everything, usually with one system call and without copying the parts."""
        with self._writing:
            sent = os.writev(self._descriptor, parts)
            if sent < sum(map(len, parts)):
                rest = memoryview(b"".join(parts))[sent:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
