"""Numbers of replicas through the SDK: the formula, and what may be changed."""

from __future__ import annotations

from typing import Any

import pytest

import mljupyter.core
from mljupyter.core.webservice import AksWebservice
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.spec_builder import changed_endpoint, new_endpoint
from mljupyter.deploy.versions import with_scaling
from mljupyter.exceptions import WebserviceException
from mljupyter.notebook.endpoint_commands import replicas_of
from mljupyter.spec import CodeReference, EndpointSpec, Scaling, SpecError

AKS = AksWebservice.deploy_configuration
SERVED = VersionContent(code=CodeReference(digest="sha256:" + "0" * 64, entry_script="score.py"))


@pytest.fixture
def spec() -> EndpointSpec:
    return new_endpoint("iris", AKS(autoscale_enabled=True, autoscale_max_replicas=4), SERVED)


def scaling(spec: EndpointSpec) -> Scaling:
    return spec.versions["iris"].scaling


def test_the_formula_is_part_of_the_sdk() -> None:
    assert mljupyter.core.replicas_needed(target_rps=20, request_time=10, max_concurrent=1, utilization=0.7) == 286


@pytest.mark.parametrize("values", [(-1, 1), (20, 10, 1, 70), ("20", 10), (float("nan"), 1), (float("inf"), 1)])
def test_the_formula_says_what_is_wrong(values: tuple[Any, ...]) -> None:
    with pytest.raises(WebserviceException):
        mljupyter.core.replicas_needed(*values)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"replicas": 3}, {"replicas": 3}),
        ({"minimum": 2}, {"minReplicas": 2, "maxReplicas": 4}),
        ({"minimum": 0, "scale_to_zero_seconds": 600}, {"minReplicas": 0, "scaleToZeroSeconds": 600}),
        ({"scale_down_seconds": 30, "target_utilization": 50}, {"scaleDownSeconds": 30, "targetUtilization": 50}),
    ],
)
def test_what_is_given_changes_and_the_rest_stays(spec: EndpointSpec, given: Any, expected: dict[str, int]) -> None:
    document = scaling(with_scaling(spec, **given)).document()
    found = document.get("autoscale", document)
    assert expected.items() <= found.items()
    assert ("autoscale" in document) is ("replicas" not in given)
    if "replicas" not in given:
        assert found["maxReplicas"] == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "No setting is given"),
        ({"replicas": 2, "minimum": 1}, r"minimum \(autoscaling\) cannot be combined: give one or the other"),
        ({"minimum": 5}, "minReplicas is 5, maxReplicas 4"),
        ({"minimum": -1}, "min_replicas is -1"),
        ({"maximum": 0}, "max_replicas is 0"),
        ({"replicas": 0}, "replicas"),
        ({"scale_down_seconds": 0}, "scale_down_seconds is 0"),
        ({"max_wake_wait_ms": 10}, "max_wake_wait_ms is 10"),
        ({"version": "iri", "replicas": 1}, "Did you mean 'iris'"),
    ],
)
def test_what_breaks_a_rule_is_refused(spec: EndpointSpec, given: Any, message: str) -> None:
    with pytest.raises((WebserviceException, SpecError), match=message):
        with_scaling(spec, **given)


def test_scale_to_zero_must_be_requested_explicitly(spec: EndpointSpec) -> None:
    assert scaling(new_endpoint("iris", AKS(), SERVED)).autoscale.min_replicas == 1
    zero = new_endpoint("iris", AKS(autoscale_enabled=True, autoscale_min_replicas=0), SERVED)
    assert scaling(zero).autoscale.min_replicas == 0
    for wrong in (-1, True, 0.5):
        with pytest.raises(WebserviceException, match="autoscale_min_replicas"):
            AKS(autoscale_enabled=True, autoscale_min_replicas=wrong)


def test_the_bounds_hold_together_with_those_that_are_there(spec: EndpointSpec) -> None:
    with pytest.raises(SpecError, match="minReplicas is 5, maxReplicas 4"):
        changed_endpoint(spec, AKS(autoscale_enabled=True, autoscale_min_replicas=5))
    with pytest.raises(SpecError, match="minReplicas is 11, maxReplicas 10"):
        new_endpoint("iris", AKS(autoscale_enabled=True, autoscale_min_replicas=11), SERVED)


@pytest.mark.parametrize("text", ["", "a", "1:", ":5", "1:2:3", "-1", "1.5"])
def test_other_forms_of_a_number_of_replicas_are_refused(text: str) -> None:
    with pytest.raises(WebserviceException, match="not a number of replicas"):
        replicas_of(text)
