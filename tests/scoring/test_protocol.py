"""Frames survive any way of being cut into pieces, and one that cannot be read costs its own request alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.scoring.protocol import ANSWER, ANSWER_HEAD, PREFIX, RAN, STREAM, ZYGOTE, Frame, FrameDecoder
from tests.scoring.conftest import Replica
from tests.scoring.replicas import replica_of
from tests.waiting import HANG_SECONDS

# A script has the worker's end of the socket pair like all of its process: it can send the front anything.
SENDS = """
import json, os, struct, sys

def init():
    pass

def run(data):
    caller = sys._getframe(1)
    while caller.f_code.co_name != "serve":
        caller = caller.f_back
    own = caller.f_locals["frame"].call
    channel = caller.f_locals["channel"]._descriptor
    for kind, call, head, body, more in json.loads(data):
        head, body = bytes.fromhex(head), bytes.fromhex(body)
        call = own if call is None else call
        os.write(channel, struct.pack("<BIIQ", kind, call, len(head), len(body) + more) + head + body)
    return "fine"
"""

frames = st.lists(
    st.builds(Frame, st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=40), st.binary(max_size=200))
)


@given(sent=frames, sizes=st.lists(st.integers(1, 70), min_size=1))
def test_frames_come_out_as_they_went_in(sent: list[Frame], sizes: list[int]) -> None:
    stream = b"".join(PREFIX.pack(f.kind, f.call, len(f.head), len(f.body)) + f.head + f.body for f in sent)
    decoder, received, position, turn = FrameDecoder(), [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        received += decoder.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert received == sent


@pytest.fixture(scope="module")
def replica() -> Iterator[Replica]:
    with replica_of(SENDS) as replica:
        yield replica


@pytest.mark.parametrize(
    "head",
    [b"", b"\xc8", ANSWER_HEAD.pack(0, RAN, 0.0), ANSWER_HEAD.pack(65535, RAN, 0.0), ANSWER_HEAD.pack(200, RAN, nan)],
    ids=["empty", "short", "status 0", "status 65535", "no time"],
)
def test_an_answer_that_cannot_be_read_is_answered_with_502_and_the_next_one_is_read(
    replica: Replica, head: bytes
) -> None:
    worker = replica.worker_pid()
    answer = replica.client.post(
        "/score", content=json.dumps([[ANSWER, None, head.hex(), "", 0]]), timeout=HANG_SECONDS
    )
    assert (answer.status_code, answer.headers["x-ms-run-function-failed"]) == (502, "True")
    assert "an answer that cannot be read" in answer.json()["message"]
    assert replica.score("[]").json() == "fine"
    assert replica.worker_pid() == worker
    assert replica.state()["run_seconds_sum"] < 60


@pytest.mark.parametrize(
    "headers", [b"a", b"\0b", b"a\0b\r\nc: d", b"Content-Length\x003", b"transfer-encoding\0chunked"]
)
@pytest.mark.parametrize("kind", [ANSWER, STREAM])
def test_headers_that_would_change_where_an_answer_ends_are_not_sent(
    replica: Replica, kind: int, headers: bytes
) -> None:
    head = ANSWER_HEAD.pack(200, RAN, 0.0) + headers
    answer = replica.client.post("/score", content=json.dumps([[kind, None, head.hex(), "", 0]]), timeout=HANG_SECONDS)
    assert (answer.status_code, answer.json()["code"]) == (500, "ScoringServerFailed")
    assert replica.score("[]").json() == "fine"


def test_a_worker_that_serves_is_not_taken_for_a_zygote(replica: Replica) -> None:
    worker = replica.worker_pid()
    assert replica.score(json.dumps([[ZYGOTE, 0, "", "", 0]])).json() == "fine"
    assert replica.score("[]").json() == "fine"
    assert (replica.health(), replica.worker_pid()) == (200, worker)
