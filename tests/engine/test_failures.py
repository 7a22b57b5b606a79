"""Texts of failed requests: one sentence for the reason, and the way out, whatever the state of the endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mljupyter.engine.requests.failures import failure_text
from mljupyter.spec import EndpointRecord
from tests.core.test_webservice import record

HELD = {"versions": {"one": {"replicasReady": 1}}}


def told(answer: str, state: str = "Healthy", **status: Any) -> str:
    return failure_text("shown", answer, endpoint(state, **status), "init() failed: no model")


def endpoint(state: str, **status: Any) -> EndpointRecord:
    return record(status={"scoringUri": "http://localhost:1/score", "state": state, **(status or HELD)})


def answered(status: int, code: str = "", message: str = "the reason") -> str:
    body = json.dumps({"code": code, "message": message}) if code else message
    return f"'shown' answered with status {status}: {body}" + (
        "" if 400 <= status < 500 else "\nIts log says more: service.get_logs()"
    )


NO_REPLICA = answered(503, "NoReplicaReady")
NO_URI = "'shown' is Transitioning: it has no scoring URI yet. First: service.wait_for_deployment()"
REFUSED = "http://localhost:1/score cannot be reached: [Errno 111] Connection refused"


@pytest.mark.parametrize("message", [NO_REPLICA, NO_URI, REFUSED])
def test_an_endpoint_that_starts_or_is_broken_says_so_and_not_what_the_router_thinks(message: str) -> None:
    assert told(message, "Transitioning", versions={"one": {"replicasWanted": 2}}) == (
        "'shown' is starting: 0/2 replicas are ready. Try again when it is Healthy.\n"
        "%endpoints shows its state, %logs shown its log."
    )
    assert told(message, "Transitioning", versions={"one": {}}).startswith("'shown' is starting. Try again")
    for state in ("Failed", "Unhealthy", "Unschedulable"):
        assert told(message, state).splitlines()[0] == f"'shown' is {state} and cannot answer: init() failed: no model"


def test_an_endpoint_that_is_scaled_to_zero_asks_for_another_try() -> None:
    said = told(NO_REPLICA, "Healthy", versions={"one": {"replicasReady": 0}})
    assert said.startswith("'shown' was scaled to zero, and its first replica is not ready yet. Try again.")


@pytest.mark.parametrize("message", [answered(404, "NotFound"), NO_URI, REFUSED, NO_REPLICA])
def test_an_endpoint_that_was_deleted_is_told_as_that(message: str) -> None:
    said = "There is no endpoint 'shown' any more: it was deleted. %endpoints lists those that there are."
    assert failure_text("shown", message, None, "") == said
    assert failure_text("shown", message, endpoint("Deleting"), "") == said


@pytest.mark.parametrize(
    ("status", "code", "way_out"),
    [
        (400, "BadRequest", ""),
        (401, "Unauthorized", "The key or token was changed at this moment: run the line again."),
        (413, "PayloadTooLarge", "Send a table in parts: %invoke shown DATA --batch-rows 1000 -o result"),
        (
            429,
            "TooManyRequests",
            "More requests a second than the rate limit of the endpoint allows: send them more slowly.",
        ),
        (500, "ScriptFailed", "Its log says more: %logs shown"),
        (502, "WorkerFailed", "Its log says more: %logs shown"),
        (503, "ReplicaBusy", "All replicas are busy: try again, or use more of them: %scale shown N"),
        (503, "NoReplicaReady", "Try again; %logs shown says why if it stays."),
        (504, "ScoringTimeout", "Make the script faster, send fewer rows at a time, or allow more time"),
        (500, "", "Its log says more: %logs shown"),
        (404, "", ""),
    ],
)
def test_an_answer_is_its_message_without_json_and_the_way_out(status: int, code: str, way_out: str) -> None:
    said = told(answered(status, code)).splitlines()
    assert said[0] == f"'shown' answered with status {status}: the reason"
    assert "".join(said[1:]).startswith(way_out) and bool(said[1:]) == bool(way_out)


@pytest.mark.parametrize("body", ["[1]", '{"message": ["a"]}', '{"reason": 1}', "", "no JSON: at all"])
def test_an_answer_of_another_form_is_shown_as_it_is(body: str) -> None:
    assert body.strip("{}")[:4] in told(f"'shown' answered with status 400: {body}")


def test_a_long_answer_is_cut() -> None:
    assert len(told(answered(400, "BadRequest", "x" * 1_000_000))) < 1200
