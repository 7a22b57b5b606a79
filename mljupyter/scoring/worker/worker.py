"""The worker process: runs the user's code and nothing else. The front starts it as a fresh interpreter.

It imports the standard library only, so that the user's script decides which versions of anything are loaded.
With one call at a time the script runs in the main thread, as under Azure ML; with more, each of that many
threads takes the next call from the socket itself, which keeps the limit exact without a dispatcher.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock, Thread

from mljupyter.scoring import protocol
from mljupyter.scoring.exit_codes import SCRIPT_FAILED
from mljupyter.scoring.logs.diagnostics import directory_listing, user_traceback, write_record
from mljupyter.scoring.parent_death import die_with
from mljupyter.scoring.worker import log_context
from mljupyter.scoring.worker.batches import OFF, Answers, batches_of
from mljupyter.scoring.worker.loading import load_script
from mljupyter.scoring.worker.script import Outcome, Script, ScriptError
from mljupyter.scoring.zygote.zygote import fork_workers, obstacle

_READ_BYTES = 65536

Batches = Callable[[Sequence[protocol.Frame]], Answers]


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
            return self._next()

    def receive_calls(self) -> list[protocol.Frame]:
        """Return the calls for the next run, of which there are several in a batch; none when the front is gone."""
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
        """Send one frame, whole."""
        start = protocol.PREFIX.pack(kind, call, len(head), len(body)) + head
        with self._writing:
            sent = os.writev(self._descriptor, (start, body))
            if sent == len(start) + len(body):
                return
            rest = memoryview(start + body)[sent:]
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]

    def send_answers(self, answers: Sequence[tuple[int, Outcome]]) -> None:
        """Send the answers of several calls at one stroke."""
        parts = []
        for call, (status, flags, seconds, body, headers) in answers:
            head = protocol.ANSWER_HEAD.pack(status, flags, seconds) + headers
            parts += [protocol.PREFIX.pack(protocol.ANSWER, call, len(head), len(body)), head, body]
        self._write_all(b"".join(parts))

    def _next(self) -> protocol.Frame | None:
        while not self._frames:
            data = os.read(self._descriptor, _READ_BYTES)
            if not data:
                return None
            self._frames.extend(self._decoder.feed(data))
        return self._frames.popleft()

    def _write_all(self, data: bytes) -> None:
        with self._writing:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


def serve(channel: Channel, script: Script, batches: Batches | None) -> None:
    """Answer calls, one after another or in batches, until the front closes the channel."""
    if batches is not None:
        while calls := channel.receive_calls():
            for answers in batches(calls):
                channel.send_answers(answers)
        return
    while (frame := channel.receive()) is not None:
        status, flags, seconds, body, headers = script.answer(frame.head, frame.body)
        channel.send(protocol.ANSWER, frame.call, protocol.ANSWER_HEAD.pack(status, flags, seconds) + headers, body)


def main(arguments: list[str]) -> int:
    """Load the script, say so, and serve.

    Arguments: socket descriptor, the front's pid, concurrency, an option of `worker_batches`, whether to preload, and
    the socket that fronts connect to where the workers are for several of them, else -1.
    """
    descriptor, front, concurrency, batching, preload, shared = (int(argument) for argument in arguments)
    listener = shared if shared >= 0 else None
    die_with(front)
    for own in (descriptor, listener):
        if own is not None:
            os.set_inheritable(own, False)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    for stream in (sys.stdout, sys.stderr):
        # A line is one write then, although -u left the streams without a buffer of their own.
        stream.reconfigure(line_buffering=True, write_through=False)  # type: ignore[union-attr]
    log_context.install()
    channel = Channel(descriptor)
    try:
        script = load_script()
        script.initialise()
        batches = batches_of(script, batching)
    except ScriptError as error:
        _report(error)
        channel.send(protocol.FAILED, body=str(error).encode("utf-8", "replace"))
        return SCRIPT_FAILED
    if preload:
        reason = obstacle(descriptor, listener)
        if reason is None:
            channel = Channel(fork_workers(descriptor, listener))
        elif listener is not None:
            channel.send(protocol.REFUSED, body=reason.encode("utf-8", "replace"))
            return 0
        else:
            write_record("W", "azmlinfsrv", f"preloading is off, each new worker runs init() itself: {reason}")
    takes_batches = b"batches" if batches is not None and batching != OFF else b""
    channel.send(protocol.READY, os.getpid(), script.interface.to_json(), takes_batches)
    for number in range(1, concurrency):
        Thread(target=serve, args=(channel, script, batches), name=f"run-{number}", daemon=True).start()
    serve(channel, script, batches)
    return 0


def _report(error: ScriptError) -> None:
    write_record("E", "azmlinfsrv.user_script", str(error))
    if error.__cause__ is not None:
        write_record("E", "azmlinfsrv.user_script", user_traceback(error.__cause__))
    write_record("I", "azmlinfsrv", directory_listing(os.environ.get("AZUREML_MODEL_DIR")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
