"""The definition of the custom resource MLEndpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from mljupyter.kubernetes.objects import crd, names
from mljupyter.spec.names import ENDPOINT

DEFINITION = crd.custom_resource_definition()
VERSION = DEFINITION["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]


def parts(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for child in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        if child is not None:
            yield from parts(child)


def test_it_defines_a_namespaced_resource_with_a_short_name() -> None:
    assert DEFINITION["metadata"]["name"] == "mlendpoints.mljupyter.io"
    assert DEFINITION["spec"]["scope"] == "Namespaced"
    assert DEFINITION["spec"]["names"]["shortNames"] == [names.SHORT]


def test_every_part_of_the_schema_has_a_type_as_structural_schemas_need() -> None:
    allowed = {"object", "array", "string", "integer", "number", "boolean"}
    assert {part.get("type") for part in parts(SCHEMA)} <= allowed


def test_the_schema_has_no_defaults_references_and_alternatives() -> None:
    for part in parts(SCHEMA):
        assert part.keys().isdisjoint({"default", "$ref", "anyOf", "oneOf", "allOf", "title", "const"})


def test_unknown_fields_are_kept_for_the_operator_to_explain() -> None:
    documents = [part for part in parts(SPEC) if part["type"] == "object" and "properties" in part]
    assert len(documents) > 8
    assert all(part["x-kubernetes-preserve-unknown-fields"] is True for part in documents)


def test_name_and_compute_target_are_those_of_the_object_and_the_cluster() -> None:
    assert SPEC["required"] == ["defaultVersion", "versions"]


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("trafficPercentile", {"type": "integer", "minimum": 0, "maximum": 100}),
        ("resources.cpu", {"type": "number", "minimum": 0, "exclusiveMinimum": True}),
        ("scaling.replicas", {"type": "integer", "minimum": 1, "nullable": True}),
        ("noCode", {"enum": ["auto", "sklearn", "onnx", "tensorflow", "mlflow"], "nullable": True}),
        ("models", {"type": "array", "maxItems": 1000}),
        ("code.digest", {"pattern": "^sha256:[0-9a-f]{64}$"}),
        ("environmentVariables", {"type": "object", "maxProperties": 1000}),
    ],
)
def test_rules_of_single_fields_are_those_of_the_document(path: str, rule: dict[str, Any]) -> None:
    found = SPEC["properties"]["versions"]["additionalProperties"]
    for step in path.split("."):
        found = found["properties"][step]
    assert rule.items() <= found.items()


@pytest.mark.parametrize("name", ["iris", "a1b", "ab", "a" * 32, "a" * 33, "1ab", "iris-", "Iris", "i.ris", "a-b"])
def test_the_name_of_the_object_obeys_the_rule_for_endpoints(name: str) -> None:
    rule = SCHEMA["properties"]["metadata"]["properties"]["name"]
    admitted = bool(re.search(rule["pattern"], name)) and rule["minLength"] <= len(name) <= rule["maxLength"]
    assert admitted == bool(ENDPOINT.pattern.fullmatch(name))


def test_status_is_a_subresource_whose_fields_are_free() -> None:
    assert VERSION["subresources"] == {"status": {}}
    assert SCHEMA["properties"]["status"]["x-kubernetes-preserve-unknown-fields"] is True


def test_a_list_shows_state_replicas_versions_and_uri() -> None:
    assert [column["name"] for column in VERSION["additionalPrinterColumns"]] == [
        "State",
        "Replicas",
        "Versions",
        "URI",
        "Age",
    ]
