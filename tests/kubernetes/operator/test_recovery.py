"""An endpoint without its state Secret: what is recovered from its other objects, and what is lost."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mljupyter.controller.storage.keys import Keys
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.published import ROUTE_KEY, PublishedRoute
from mljupyter.kubernetes.operator import documents
from mljupyter.kubernetes.operator.private_state import settings_in
from mljupyter.kubernetes.operator.recovery import Recovered, recovered
from mljupyter.spec import Authentication, EndpointSpec, RequestLimits, RouterSpec, VersionSpec

KEYS = Keys("first-key", "second-key")
VARIABLES = {"WHO": "ada", "PLAIN": "text"}
SPEC = EndpointSpec(
    name="iris",
    compute_target="team",
    default_version="one",
    authentication=Authentication.KEY,
    versions={"one": VersionSpec(image="registry/iris:1", environment_variables=VARIABLES)},
)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def settings_text(**values: str) -> str:
    return encoded(json.dumps(values))


def route(text: str | None = None) -> dict[str, Any]:
    versions = (VersionRoute("one", 100, ("10.0.0.1:5001",), RequestLimits()),)
    made = EndpointRoute(SPEC.name, versions, "one", keys=(KEYS.primary, KEYS.secondary))
    return {"data": {ROUTE_KEY: encoded(PublishedRoute(made, {}, {}).text() if text is None else text)}}


def revision(created: str, version: str = "one", **variables: str) -> dict[str, Any]:
    labels = names.replica_labels("iris", version, created)
    data = {f"env.{name}": encoded(value) for name, value in variables.items()}
    return {"metadata": {"labels": labels, "creationTimestamp": created}, "data": data}


def found(*revisions: dict[str, Any], published: dict[str, Any] | None = None) -> Recovered | None:
    return recovered(documents.resource(SPEC, "mljupyter", None), "team", published, revisions)


def test_spec_keys_and_hidden_values_are_as_before() -> None:
    assert found(revision("2026-01-01", **VARIABLES), published=route()) == Recovered(SPEC, KEYS)


def test_values_are_those_of_the_newest_revision() -> None:
    newer, older = revision("2026-01-02", **VARIABLES), revision("2026-01-01", WHO="bob", PLAIN="old")
    assert found(newer, older, revision("2026-01-03", "two", WHO="eve"), published=route()) == Recovered(SPEC, KEYS)


@pytest.mark.parametrize("published", [None, {}, {"data": {}}, route(""), route("[1]"), route("{}")])
def test_without_a_route_that_can_be_read_there_are_new_keys(published: dict[str, Any] | None) -> None:
    result = found(revision("2026-01-01", **VARIABLES), published=published)
    assert result is not None
    assert (result.spec, result.keys_lost) == (SPEC, True)
    assert result.keys is not None
    assert result.keys != KEYS


def test_an_endpoint_whose_hidden_values_are_lost_is_not_recovered() -> None:
    assert found(published=route()) is None
    assert found(revision("2026-01-01", WHO="ada"), published=route()) is None


def test_a_resource_that_breaks_a_rule_is_not_recovered() -> None:
    resource = documents.resource(SPEC, "mljupyter", None)
    resource["spec"]["versions"]["one"]["trafficPercentile"] = 101
    assert recovered(resource, "team", route(), [revision("2026-01-01", **VARIABLES)]) is None


def test_an_endpoint_without_keys_gets_none() -> None:
    spec = SPEC.model_copy(update={"authentication": Authentication.TOKEN})
    resource = documents.resource(spec, "mljupyter", None)
    assert recovered(resource, "team", None, [revision("2026-01-01", **VARIABLES)]) == Recovered(spec, None)


def test_settings_come_back_and_damaged_ones_are_the_defaults() -> None:
    text = RouterSpec(token_seconds=100).json_text()
    assert settings_in(settings_text(router=text)) == {"router": text}
    assert settings_in("") == settings_in(encoded("{}")) == {}
    assert settings_in(settings_text(router='{"tokenSeconds": "no"}')) == {}


@pytest.mark.faults(29, "any bytes in the Secrets of an endpoint and of the operator")
@given(content=st.binary() | st.text().map(str.encode) | st.sampled_from([b"{}", b"[]", b'{"router": 1}', b"null"]))
def test_any_bytes_in_a_secret_are_no_error(content: bytes) -> None:
    text = base64.b64encode(content).decode()
    damaged = {"data": {documents.STATE_KEY: text, ROUTE_KEY: text}}
    assert documents.rows_of(damaged) is None
    result = found(revision("2026-01-01", **VARIABLES), published=damaged)
    assert result is not None
    assert result.keys_lost
    assert settings_in(text) == {}
