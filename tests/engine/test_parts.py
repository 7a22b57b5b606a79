"""Decisions of batch scoring."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.engine.requests.parts import (
    LONGEST_OUTAGE_SECONDS,
    Retry,
    after_failure,
    body_limit,
    parts_at_once,
    results_of,
    rows_for_part,
    size_problem,
    state_of,
)
from mljupyter.spec import EndpointRecord

CODE = {"digest": "sha256:" + "0" * 64, "entryScript": "score.py"}


def record(**versions: tuple[int, int, int]) -> EndpointRecord:
    """Return an endpoint with versions, each with its ready replicas, concurrent requests and weight."""
    return EndpointRecord.parse(
        {
            "spec": {
                "name": "iris",
                "kind": "AKSENDPOINT",
                "defaultVersion": next(iter(versions)),
                "authentication": "key",
                "versions": {
                    name: {"code": CODE, "limits": {"maxConcurrentRequests": most, "maxBodyBytes": 1000 * most}}
                    for name, (_, most, _) in versions.items()
                },
            },
            "status": {
                "versions": {
                    name: {"replicasReady": ready, "weight": weight} for name, (ready, _, weight) in versions.items()
                }
            },
            "createdTime": "2026-01-01T00:00:00Z",
            "updatedTime": "2026-01-01T00:00:00Z",
            "generation": 1,
            "resourceVersion": 1,
        }
    )


@pytest.mark.parametrize(
    ("status", "rows", "idle", "decision"),
    [
        (503, 10, 0.0, Retry(0.2)),
        (429, 1, 0.0, Retry(0.2)),
        (502, 1, LONGEST_OUTAGE_SECONDS + 1, "stop"),
        (401, 10, 0.0, "stop"),
        (404, 1, 0.0, "stop"),
        (500, 10, 0.0, "split"),
        (500, 1, 0.0, "fail"),
        (400, 2, 0.0, "split"),
        (413, 2, 0.0, "split"),
        (504, 2, 0.0, "split"),
        (504, 1, 0.0, "fail"),
        (None, 3, 0.0, "split"),
        (None, 1, 0.0, "fail"),
    ],
)
def test_a_temporary_failure_is_repeated_and_a_failure_of_rows_is_searched(
    status: int | None, rows: int, idle: float, decision: Any
) -> None:
    assert after_failure(status, 1, rows, idle) == decision


def test_the_pauses_grow_up_to_a_limit() -> None:
    pauses = [found.after for attempt in range(1, 2000) if isinstance(found := after_failure(503, attempt, 1), Retry)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.2, 8.0)


def test_as_many_parts_are_sent_as_the_ready_replicas_with_a_share_can_run() -> None:
    found = record(blue=(3, 2, 90), green=(2, 1, 10), shadow=(5, 4, 0))
    assert parts_at_once(found) == 8
    assert parts_at_once(found, "shadow") == 20
    assert parts_at_once(record(blue=(0, 1, 0))) == 1
    assert parts_at_once(record(blue=(900, 1, 100))) == 64


def test_a_body_must_fit_every_version_that_may_get_it() -> None:
    found = record(blue=(1, 2, 50), green=(1, 1, 50))
    assert (body_limit(found), body_limit(found, "blue")) == (1000, 2000)


@pytest.mark.parametrize(("size", "rows"), [(0.0, 5000), (100.0, 5000), (1000.0, 500), (1e9, 1)])
def test_a_part_has_at_most_half_of_the_limit(size: float, rows: int) -> None:
    assert rows_for_part(size, 1_000_000) == rows


def test_a_body_over_the_limit_is_told_with_size_limit_and_ways_out() -> None:
    assert size_problem(1000, 1000, "iris") is None
    said = size_problem(1001, 1000, "iris") or ""
    assert said.startswith("The request has 1 KB (1,001 bytes); 'iris' takes at most 1 KB (1,000 bytes).")
    assert "--batch-rows" in said
    assert "maxBodyBytes" in said


@pytest.mark.parametrize(
    ("answer", "results"),
    [
        ([1, 2], [1, 2]),
        ([1], None),
        ("ab", None),
        ({"result": [1, 2]}, [1, 2]),
        ({"a": [1, 2], "b": [3, 4]}, None),
        ({"a": [1, 2], "model": "x"}, [1, 2]),
        (None, None),
    ],
)
def test_an_answer_has_one_result_for_each_row(answer: Any, results: Any) -> None:
    assert results_of(answer, 2) == results


def test_results_depend_on_code_and_models_and_not_on_size() -> None:
    before = state_of(record(blue=(1, 1, 100)).spec.versions, None)
    assert state_of(record(blue=(5, 9, 100)).spec.versions, None) == before
    assert state_of(record(green=(1, 1, 100)).spec.versions, None) != before
