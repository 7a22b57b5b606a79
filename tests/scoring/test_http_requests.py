"""The bytes of answers to requests of many kinds, compared with those that are written down."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.scoring.conftest import Replica
from tests.scoring.http_requests import ANSWERS, CASES, ENVIRONMENT, FLAGS, SCRIPT, asked
from tests.scoring.replicas import replica_of

EXPECTED: dict[str, str] = json.loads(ANSWERS.read_text())


@pytest.fixture(scope="module")
def replica() -> Iterator[Replica]:
    with replica_of(SCRIPT, *FLAGS, **ENVIRONMENT) as started:
        yield started


@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_what_it_was(replica: Replica, name: str) -> None:
    assert asked(replica, CASES[name]) == EXPECTED[name]


@pytest.mark.parametrize(
    "name",
    ["GET /", "a body", "a body of chunks", "expects 100-continue, no such path", "pipelined", "a stream", "HTTP/1.0"],
)
def test_the_packets_of_a_request_do_not_matter(replica: Replica, name: str) -> None:
    assert asked(replica, CASES[name], size=7) == EXPECTED[name]
