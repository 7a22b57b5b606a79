"""The reasons that are told while somebody waits for a deployment."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mljupyter.deploy.wait import follow, told_once
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
