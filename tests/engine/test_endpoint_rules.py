"""The specs that a control plane refuses, besides those that break a rule of the document."""

from __future__ import annotations

from typing import Any

import pytest

from mljupyter.engine.endpoints.rules import refuse_spec, refuse_while_deleting
from mljupyter.spec import EndpointKind, EndpointSpec, Placement, VersionSpec
from mljupyter.spec.difference import HIDDEN

TARGETS = ["docker", "local"]


def spec(variables: dict[str, str] | None = None, **fields: Any) -> EndpointSpec:
    version = VersionSpec(image="registry.example/iris:1", environment_variables=variables or {})
    return EndpointSpec(name="iris", default_version="one", versions={"one": version}, **fields)


def test_an_endpoint_runs_on_a_target_of_the_control_plane() -> None:
    assert refuse_spec(spec(), None, TARGETS, has_ports=True) is None
    refusal = refuse_spec(spec(compute_target="team"), None, TARGETS, has_ports=True)
    assert refusal is not None and refusal.code == "InvalidSpec"
    assert refusal.message.endswith("does not run endpoints on 'team', only on docker and local.")


@pytest.mark.parametrize("fields", [{"kind": EndpointKind.LOCAL}, {"port": 8890}])
def test_a_port_of_its_own_needs_a_control_plane_that_has_ports(fields: dict[str, Any]) -> None:
    assert refuse_spec(spec(**fields), None, TARGETS, has_ports=True) is None
    refusal = refuse_spec(spec(**fields), None, TARGETS, has_ports=False)
    assert refusal is not None and "is a local web service with a port of its own" in refusal.message


def test_the_mask_of_a_value_is_no_value_unless_it_is_the_present_one() -> None:
    hidden = spec({"TOKEN": HIDDEN})
    for before in (None, spec(), spec({"TOKEN": "s3cret"})):
        refusal = refuse_spec(hidden, before, TARGETS, has_ports=True)
        assert refusal is not None and "versions.one.environmentVariables.TOKEN is '***'" in refusal.message
        assert "s3cret" not in refusal.message
    assert refuse_spec(hidden, hidden, TARGETS, has_ports=True) is None


def test_an_endpoint_that_is_being_deleted_is_not_changed() -> None:
    assert refuse_while_deleting("iris", deleting=False) is None
    refusal = refuse_while_deleting("iris", deleting=True)
    assert refusal is not None and refusal.code == "OperationInProgress"


def test_an_endpoint_runs_in_a_namespace_that_is_allowed_if_the_target_has_namespaces() -> None:
    version = VersionSpec(image="registry.example/iris:1", placement=Placement(namespace="team-b"))
    found = spec().model_copy(update={"versions": {"one": version}})
    for namespaces in (None, ["mljupyter", "team-b"]):
        assert refuse_spec(found, None, ["local"], has_ports=True, namespaces=namespaces) is None
    refusal = refuse_spec(found, None, ["local"], has_ports=True, namespaces=["mljupyter", "team-a"])
    assert refusal is not None
    first, way, *more = refusal.message.splitlines()
    assert first == (
        "endpoint 'iris' names namespace 'team-b', and endpoints of 'local' may run in 'mljupyter' and 'team-a' only."
    )
    assert way.startswith("Name one of them, or none;")
    assert more == ["endpoint_namespaces=['team-b', ...] (--endpoint-namespace team-b)."]
    assert refuse_spec(spec(), None, ["local"], has_ports=True, namespaces=["mljupyter"]) is None
