"""The router's answer about its statistics, as it is read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.telemetry.metrics.router_statistics import answers_by_class, parse
from mljupyter.telemetry.metrics.samples import Counts


def statistics(values: dict[str, int]) -> bytes:
    found: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in values.items()]
    return json.dumps({"stats": found}).encode()


def test_answers_are_those_of_the_version_and_no_others() -> None:
    found = parse(
        statistics(
            {
                "cluster.iris.blue.upstream_rq_completed": 4,
                "answers.given.version.iris.blue.status.200": 4,
                "answers.given.version.iris.blue.status.401": 2,
                "answers.given.version.iris.blue.status.0": 7,
                "answers.given.version.iris.green.status.413": 3,
                "answers.given.version..status.404": 5,
                "answers.given.version.no-grpc.status.415": 6,
            }
        )
    )
    assert found.clusters.keys() == {"iris.blue", "iris.green"}
    assert found.clusters["iris.blue"].counts.requests == 4
    assert found.clusters["iris.blue"].answers == Counts(requests=6, client_errors=2)
    assert found.clusters["iris.green"].answers == Counts(requests=3, client_errors=3)


def test_a_version_whose_first_request_is_on_its_way_has_no_answers_yet() -> None:
    found = parse(statistics({"cluster.iris.blue.upstream_rq_active": 1}))
    assert found.clusters["iris.blue"].answers == Counts()


@pytest.mark.parametrize(
    ("status", "column"),
    [(400, "client_errors"), (499, "client_errors"), (500, "server_errors"), (503, "refused"), (504, "timeouts")],
)
def test_each_status_is_in_its_class(status: int, column: str) -> None:
    assert answers_by_class({status: 3}) == Counts(requests=3, **{column: 3})  # type: ignore[arg-type]


@given(st.dictionaries(st.integers(0, 599), st.integers(0, 1000)))
def test_an_answer_is_in_one_class_at_most(by_status: dict[int, int]) -> None:
    found = answers_by_class(by_status)
    assert found.requests == sum(number for status, number in by_status.items() if status)
    errors = found.client_errors + found.server_errors + found.refused + found.timeouts
    assert errors == sum(number for status, number in by_status.items() if status >= 400)


def test_copies_to_a_mirror_are_counted_by_their_cluster() -> None:
    copies = parse(statistics({"cluster.iris.blue.mirror.upstream_rq_completed": 5})).clusters["iris.blue.mirror"]
    assert (copies.counts.requests, copies.answers) == (5, None)
