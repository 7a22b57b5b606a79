"""Answers in pieces: a response whose body is a generator, and a `run()` that yields.

The pieces of a response go out as they are. Those of a `run()` that yields are the events of a stream of Server-Sent
Events if the client accepts them; otherwise they are collected and become a JSON list, as if `run()` had returned it.
Both are for a `run()` of one request. In a batch, all pieces are collected.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

from mljupyter.scoring import protocol
from mljupyter.scoring.logs.diagnostics import user_traceback, write_record
from mljupyter.scoring.worker.channel import Channel
from mljupyter.scoring.worker.results import ResultError
from mljupyter.scoring.worker.script import Script, StreamedOutcome


def send_stream(channel: Channel, call: int, script: Script, outcome: StreamedOutcome) -> None:
    """Send an answer in pieces, each as soon as `run()` gives it.

    An error before the first piece is an ordinary error answer. After it, the answer is cut off, as the server says.

    Parameters:
        channel: the connection to the server.
        call: the number of the call.
        script: the scoring script, for its error answers.
        outcome: the head of the answer and its pieces.

    """
    status, flags, seconds, pieces, headers = outcome
    start, begun, error = perf_counter() - seconds, False, b""
    window = channel.open_window(call)
    try:
        for piece in pieces:
            if not begun:
                begun = True
                channel.send(
                    protocol.STREAM, call, protocol.ANSWER_HEAD.pack(status, flags, perf_counter() - start) + headers
                )
            if not channel.send_pieces(window, piece):
                break  # nobody takes the rest
    except ResultError as raised:
        status, flags, _, error, headers = script.not_sent(raised, 0.0)
    except BaseException as raised:  # noqa: BLE001 (user code may raise anything, SystemExit too)
        status, flags, _, error, headers = script.failed(raised, 0.0)
    channel.close_window(window)
    _close(pieces)
    head = protocol.ANSWER_HEAD.pack(status, flags, perf_counter() - start)
    channel.send(protocol.ANSWER, call, head if begun else head + headers, error)


def _close(pieces: Iterator[bytes]) -> None:
    """Run the rest of the generator that a client has left: its `finally` blocks, which may raise anything."""
    try:
        getattr(pieces, "close", lambda: None)()
    except BaseException as error:  # noqa: BLE001 (user code)
        write_record("W", "azmlinfsrv.user_script", f"the end of a streamed run() raised:\n{user_traceback(error)}")
