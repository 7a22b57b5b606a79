"""Any bytes between client, server, worker and zygote: the replica lives or is replaced, and answers."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.scoring import protocol
from tests.fuzz.budget import Budget
from tests.fuzz.http_bytes import PATH, conversations
from tests.fuzz.test_router import said
from tests.scoring.conftest import ECHO, Replica, is_alive
from tests.scoring.replicas import replica_of
from tests.scoring.test_protocol import SENDS
from tests.scoring.test_shared_template import Version
from tests.waiting import wait_until

calls = st.none() | st.none() | st.integers(0, 3) | st.sampled_from([os.getpid(), 1, 2**31, 2**32 - 1])
answer_heads = st.builds(
    lambda status, flags, seconds, headers: protocol.ANSWER_HEAD.pack(status, flags, seconds) + headers,
    st.sampled_from([0, 99, 100, 200, 204, 304, 500, 599, 600, 65535]),
    st.integers(0, 255),
    st.floats(),
    st.sampled_from(
        [b"", b"a\0b", b"a", b"\0", b"content-type\0text/plain", b"a\0b\r\nc: d", b"content-length\0" + b"3"]
    ),
)
heads = st.one_of(
    answer_heads,
    st.binary(max_size=12),
    st.sampled_from([b"{}", b"[]", b"null", b'{"mode": 1}', b'{"versions": 3, "mode": "text"}', b"[" * 100_000]),
)
bodies = st.sampled_from([b"", b"x", b"-9", b"0", b"99999999999", b"\xff\xfe"]) | st.binary(max_size=20)
frames = st.lists(
    st.tuples(
        st.sampled_from([*[protocol.ANSWER] * 12, *range(11), 255]),
        calls,
        heads.map(bytes.hex),
        bodies.map(bytes.hex),
        st.sampled_from([*[0] * 15, 1, 2**62]),
    ),
    min_size=1,
    max_size=3,
)
FLAGS = ("--scoring-timeout-ms", "300", "--quarantine-after", "0")


@pytest.fixture
def replica() -> Iterator[Replica]:
    with replica_of(ECHO) as replica:
        yield replica


def test_no_bytes_of_a_client_end_a_replica_or_show_it_a_traceback(replica: Replica, budget: Budget) -> None:
    @given(conversations)
    @budget.example
    def ask(data: bytes) -> None:
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(str(replica.socket))
        answer = said(raw, data.replace(PATH.encode(), b"/score"))
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert b"Traceback" not in answer
        assert b"internal error" not in answer
        assert replica.health() == 200

    worker = replica.worker_pid()
    budget.search(ask)
    assert replica.worker_pid() == worker
    assert replica.score("well").json() == "well"
    assert "Traceback" not in replica.log()


class Kept:
    """A replica that is started again when it has ended, as the controller does."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        directory = self.directory / str(self.starts)
        directory.mkdir()
        self.replica = Replica(directory, SENDS, *FLAGS).wait_ready()

    def serves(self) -> None:
        """Return when it answers, after its own repair or a start."""

        def look() -> bool:
            if self.replica.process.poll() is not None:
                self.replica.end()
                self.start()
            return self.replica.health() == 200

        wait_until(look, "the replica answers")


def test_whatever_a_worker_sends_its_front_answers_every_client_and_serves_on(budget: Budget) -> None:
    with tempfile.TemporaryDirectory(prefix="mlj") as place:
        kept = Kept(Path(place))

        @given(frames)
        @budget.example
        def send(frames: list[object]) -> None:
            kept.serves()
            try:
                answer = kept.replica.client.post("/score", content=json.dumps(frames))
            except httpx.TimeoutException:
                raise AssertionError("the client was not answered") from None
            except httpx.TransportError:
                pass  # the replica has ended, and its clients are told so by the router
            else:
                assert "Traceback" not in answer.text
                assert "AttributeError" not in answer.text, "the script of this test has failed"
            kept.serves()

        try:
            budget.search(send)
            kept.serves()
        finally:
            kept.replica.end()


@pytest.fixture
def version() -> Iterator[Version]:
    with tempfile.TemporaryDirectory(prefix="mlj") as place:
        version = Version(Path(place))
        yield version
        version.end()


def test_no_orders_of_a_front_reach_the_workers_of_another_one_or_end_their_zygote(
    version: Version, budget: Budget
) -> None:
    process = version.template(ECHO)
    other = version.replica()
    worker = other.worker_pid()
    parent = next(
        int(line.split()[1]) for line in Path(f"/proc/{worker}/status").read_text().splitlines() if "PPid" in line
    )
    orders = st.builds(
        protocol.COMMAND.pack,
        st.sampled_from([protocol.FORK, protocol.KILL, protocol.DUMP_STACKS, 0, 255]),
        st.sampled_from([worker, parent, 0, 1, process.pid, 2**32 - 1]),
    )
    sent = st.lists(st.tuples(orders | st.binary(min_size=1, max_size=12), st.integers(0, 6)), min_size=1, max_size=4)

    def descriptors() -> int:
        return len(list(Path(f"/proc/{parent}/fd").iterdir()))

    @given(sent)
    @budget.example
    def order(sent: list[tuple[bytes, int]]) -> None:
        before = descriptors()
        with socket.socket(socket.AF_UNIX) as front, Path("/dev/null").open("r+b") as nothing:
            front.connect(str(version.socket))
            for data, count in sent:
                try:
                    socket.send_fds(front, [data], [nothing.fileno()] * count)
                except OSError:
                    break  # it was refused
        assert is_alive(worker), "the worker of another front was ended"
        assert is_alive(parent), "the zygote ended"
        wait_until(lambda: descriptors() <= before, "all descriptors are closed")

    budget.search(order)
    assert other.worker_pid() == worker
    assert version.replica().score("well").json() == "well"
