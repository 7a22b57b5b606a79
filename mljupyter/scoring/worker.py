"""The worker process: runs the user's code and nothing else. The front starts it as a fresh interpreter.

It imports the standard library only, so that the user's script decides which versions of anything are loaded.
With one call at a time the script runs in the main thread, as under Azure ML; with more, each of that many
threads takes the next call from the socket itself, which keeps the limit exact without a dispatcher.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from collections import deque
from threading import Lock, Thread

from mljupyter.scoring import protocol
from mljupyter.scoring.diagnostics import directory_listing, user_traceback, write_record
from mljupyter.scoring.exit_codes import SCRIPT_FAILED
from mljupyter.scoring.script import Script, ScriptError, load_script

_READ_BYTES = 65536


class Channel:
    """The worker's end of the socket pair; safe to share between threads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = protocol.FrameDecoder()
        self._frames: deque[protocol.Frame] = deque()
        self._reading = Lock()
        self._writing = Lock()

    def receive(self) -> protocol.Frame | None:
        """Return the next frame, or None when the front has closed its end."""
        with self._reading:
            while not self._frames:
                data = os.read(self._descriptor, _READ_BYTES)
                if not data:
                    return None
                self._frames.extend(self._decoder.feed(data))
            return self._frames.popleft()

    def send(self, kind: int, call: int = 0, head: bytes = b"", body: bytes = b"") -> None:
        """Send one frame, whole."""
        start = protocol.PREFIX.pack(kind, call, len(head), len(body)) + head
        with self._writing:
            sent = os.writev(self._descriptor, (start, body))
            if sent == len(start) + len(body):
                return
            rest = memoryview(start + body)[sent:]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


def serve(channel: Channel, script: Script) -> None:
    """Answer calls one after another until the front closes the channel."""
    while (frame := channel.receive()) is not None:
        status, flags, seconds, body = script.answer(frame.head, frame.body)
        channel.send(protocol.ANSWER, frame.call, protocol.ANSWER_HEAD.pack(status, flags, seconds), body)


def main(arguments: list[str]) -> int:
    """Load the script, say so, and serve. Arguments: socket descriptor, the front's pid, concurrency."""
    descriptor, front, concurrency = (int(argument) for argument in arguments)
    _die_with(front)
    os.set_inheritable(descriptor, False)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    for stream in (sys.stdout, sys.stderr):
        # A line is one write then, although -u left the streams without a buffer of their own.
        stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    channel = Channel(descriptor)
    try:
        script = load_script()
        script.initialise()
    except ScriptError as error:
        _report(error)
        channel.send(protocol.FAILED, body=str(error).encode("utf-8", "replace"))
        return SCRIPT_FAILED
    channel.send(protocol.READY, head=json.dumps({"requestHeaders": script.takes_headers}).encode())
    for number in range(1, concurrency):
        Thread(target=serve, args=(channel, script), name=f"run-{number}", daemon=True).start()
    serve(channel, script)
    return 0


def _report(error: ScriptError) -> None:
    write_record("E", "azmlinfsrv.user_script", str(error))
    if error.__cause__ is not None:
        write_record("E", "azmlinfsrv.user_script", user_traceback(error.__cause__))
    write_record("I", "azmlinfsrv", directory_listing(os.environ.get("AZUREML_MODEL_DIR")))


def _die_with(front: int) -> None:
    """Let the kernel kill this process when the front dies, however long user code holds the interpreter."""
    if sys.platform == "linux":
        import ctypes

        parent_death_signal = 1
        ctypes.CDLL(None).prctl(parent_death_signal, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != front:
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
