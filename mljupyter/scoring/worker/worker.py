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
from collections.abc import Callable, Sequence
from threading import Thread

from mljupyter.scoring import protocol
from mljupyter.scoring.exit_codes import SCRIPT_FAILED
from mljupyter.scoring.logs import log_context
from mljupyter.scoring.logs.diagnostics import directory_listing, user_traceback, write_record
from mljupyter.scoring.worker import fast_json
from mljupyter.scoring.worker.batches import OFF, Answers, batches_of
from mljupyter.scoring.worker.channel import Channel
from mljupyter.scoring.worker.loading import load_script
from mljupyter.scoring.worker.parent_death import die_with
from mljupyter.scoring.worker.script import Script, ScriptError
from mljupyter.scoring.worker.script_module import offer_to_child
from mljupyter.scoring.worker.warm_up import warm_up
from mljupyter.scoring.worker.zygote import fork_obstacle, fork_workers

Batches = Callable[[Sequence[protocol.Frame]], Answers]


def serve(channel: Channel, script: Script, batches: Batches | None) -> None:
    """Answer calls, one by one or in batches, until the server closes the channel."""
    if batches is not None:
        while calls := channel.receive_calls():
            for answers in batches(calls):
                channel.send_answers(answers)
        return
    while (frame := channel.receive()) is not None:
        status, flags, seconds, body, headers = outcome = script.answer(frame.head, frame.body)
        if type(body) is bytes:
            channel.send(protocol.ANSWER, frame.call, protocol.ANSWER_HEAD.pack(status, flags, seconds) + headers, body)
        else:
            from mljupyter.scoring.worker.streams import send_stream  # few scripts stream their answers

            send_stream(channel, frame.call, script, outcome)  # type: ignore[arg-type] # its body is not bytes


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
    fast_json.install()
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
    warm_up(script)
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
elif __name__ == "__mp_main__":  # a process that the script has started by multiprocessing
    __getattr__ = offer_to_child()
