"""The reasons that are told while somebody waits for a deployment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mljupyter.deploy.wait import changed_versions, failed_versions, follow, settled, told_once
from mljupyter.exceptions import WebserviceException
from mljupyter.spec import EndpointRecord, EndpointSpec, EndpointState, EndpointStatus, Problem, VersionStatus

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = EndpointSpec.parse(
    {"name": "iris", "defaultVersion": "one", "versions": {"one": {"image": "registry.example/iris:1"}}}
)


def record(message: str | None, state: EndpointState = EndpointState.TRANSITIONING, seen: int = 1) -> EndpointRecord:
    """Return an endpoint whose version has a problem; `seen` is the generation that its status tells of."""
    problem = None if message is None else Problem(code="NodesAreAdded", message=message, last_lines=["a secret"])
    status = EndpointStatus(state=state, versions={"one": VersionStatus(problem=problem)}, observed_generation=seen)
    return EndpointRecord(
        spec=SPEC, status=status, generation=1, resource_version=1, created_time=NOW, updated_time=NOW
    )


class Endpoints:
    """A control plane whose endpoint stays as it is."""

    def __init__(self, found: EndpointRecord) -> None:
        self.found = found

    def endpoint(self, name: str) -> EndpointRecord:
        return self.found

    def watch(self, name: str, after: int, wait: float) -> EndpointRecord:
        return self.found


def test_each_reason_is_told_once_while_the_endpoint_is_not_ready() -> None:
    said: list[str] = []
    tell = told_once(said.append)
    for one in (
        record("of the spec before.", seen=0),
        record(None),
        record("nodes are added."),
        record("nodes are added."),
        record("a volume is missing."),
        record("nodes are added."),
        record("it failed.", EndpointState.FAILED),
    ):
        tell(one)
    assert said == ["nodes are added.", "a volume is missing."]


def test_a_timeout_has_the_reason() -> None:
    endpoints: Any = Endpoints(record("nodes are added."))
    with pytest.raises(WebserviceException) as error:
        follow(endpoints, "iris", timeout=0)
    assert "still Transitioning after 0 s" in str(error.value)
    assert "\nnodes are added.\nWait longer" in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("state", "ready", "seen", "expected"),
    [
        (EndpointState.HEALTHY, "old", 2, True),
        (EndpointState.TRANSITIONING, "new", 2, True),  # only more replicas are starting
        (EndpointState.TRANSITIONING, "old", 2, False),
        (EndpointState.TRANSITIONING, None, 2, False),
        (EndpointState.FAILED, "old", 2, True),
        (EndpointState.UNSCHEDULABLE, "old", 2, True),
        (EndpointState.HEALTHY, "new", 1, False),  # the status is of the spec before
    ],
)
def test_a_change_has_ended_when_its_versions_answer_or_have_failed(
    state: EndpointState, ready: str | None, seen: int, expected: bool
) -> None:
    found = VersionStatus(state=state, revision="new", ready_revision=ready)
    other = VersionStatus(state=EndpointState.TRANSITIONING, revision="two")
    status = EndpointStatus(versions={"one": found, "two": other}, observed_generation=seen)
    present = record(None).model_copy(update={"status": status, "generation": 2})
    assert settled(present, {"one"}) == expected
    assert settled(present, {"one", "gone"}) == expected, "a version that was deleted since"
    assert settled(present, ()) == (seen == 2)
    assert not settled(present, {"one", "two"})
    failed = state in (EndpointState.FAILED, EndpointState.UNSCHEDULABLE)
    assert failed_versions(present, {"one", "two"}) == (["one"] if failed else [])


def test_the_versions_of_a_change_are_those_that_are_new_or_differ() -> None:
    one = SPEC.versions["one"]
    more = SPEC.model_copy(
        update={"versions": {"one": one.model_copy(update={"reload": 1}), "two": one}, "tags": {"a": "b"}}
    )
    assert changed_versions(SPEC, more) == {"one", "two"}
    assert changed_versions(more, SPEC) == {"one"}
    assert changed_versions(SPEC, SPEC.model_copy(update={"tags": {"a": "b"}})) == frozenset()
