"""The worker process: it runs the user's code. The server starts it as a new interpreter, or has a zygote fork it.

It imports the standard library only, so that the user's script decides which version of each package is loaded. With
a concurrency of 1 the script runs in the main thread, as in Azure ML. With more, each of that many threads takes the
next call from the socket itself, so that the limit is exact.
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
from mljupyter.scoring.logs import log_context
from mljupyter.scoring.logs.diagnostics import directory_listing, user_traceback, write_record
from mljupyter.scoring.worker.batches import OFF, Answers, batches_of
from mljupyter.scoring.worker.loading import load_script
from mljupyter.scoring.worker.parent_death import die_with
from mljupyter.scoring.worker.script import Outcome, Script, ScriptError
from mljupyter.scoring.worker.zygote import fork_obstacle, fork_workers

_READ_BYTES = 65536

Batches = Callable[[Sequence[protocol.Frame]], Answers]


class Channel:
    """The worker's end of the socket pair to its server; threads may share it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = protocol.FrameDecoder()
        self._frames: deque[protocol.Frame] = deque()
        self._reading = Lock()
        self._writing = Lock()

    def receive(self) -> protocol.Frame | None:
        """Return the next frame; None when the server has closed its end."""
        with self._reading:
            return self._next()

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

    def _next(self) -> protocol.Frame | None:
        while not self._frames:
            data = os.read(self._descriptor, _READ_BYTES)
            if not data:
                return None
            self._frames.extend(self._decoder.feed(data))
        return self._frames.popleft()

    def _write(self, *parts: bytes) -> None:
        """Write everything, usually with one system call and without copying the parts."""
        with self._writing:
            sent = os.writev(self._descriptor, parts)
            if sent < sum(map(len, parts)):
                rest = memoryview(b"".join(parts))[sent:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]


def serve(channel: Channel, script: Script, batches: Batches | None) -> None:
    """Answer calls, one by one or in batches, until the server closes the channel."""
    if batches is not None:
        while calls := channel.receive_calls():
            for answers in batches(calls):
                channel.send_answers(answers)
        return
    while (frame := channel.receive()) is not None:
        status, flags, seconds, body, headers = script.answer(frame.head, frame.body)
        channel.send(protocol.ANSWER, frame.call, protocol.ANSWER_HEAD.pack(status, flags, seconds) + headers, body)


def main(arguments: list[str]) -> int:
    """Load the script, report that it is ready, and serve; return the exit status.

    Arguments: socket descriptor, the server's pid, concurrency, an option of `batches`, 1 to become a zygote, and the
    descriptor of the listening socket of a shared zygote or -1.
    """
    descriptor, server, concurrency, batching, preload, shared = (int(argument) for argument in arguments)
    listener = shared if shared >= 0 else None
    die_with(server)
    for own in (descriptor, listener):
        if own is not None:
            os.set_inheritable(own, False)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    for stream in (sys.stdout, sys.stderr):
        # -u left the streams unbuffered; with this, each line is one write.
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
        reason = fork_obstacle(descriptor, listener)
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
