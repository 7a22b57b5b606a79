"""The custom resource MLEndpoint: its definition, generated from the documents of ``spec/``.

The schema refuses wrong types and numbers that are out of range. It keeps unknown fields, so that the operator can say
which field was meant; the API server would remove them without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mljupyter.kubernetes.objects import names
from mljupyter.spec import EndpointSpec, EndpointStatus
from mljupyter.spec.names import ENDPOINT

CRD_NAME = f"{names.PLURAL}.{names.GROUP}"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_NAME_LENGTHS = (3, 32)
_KEPT = (
    "type",
    "description",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minimum",
    "maximum",
)
_COLUMNS = (
    ("State", ".status.state", "The state of the endpoint"),
    ("Replicas", ".status.replicas", "Ready and desired replicas of all versions"),
    ("Versions", ".status.traffic", "The versions with the percentage of requests that each gets"),
    ("URI", ".status.scoringUri", "Where the endpoint is called"),
)


def custom_resource_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of MLEndpoint."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": CRD_NAME, "labels": names.labels(names.COMPONENT_OPERATOR)},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.KIND.lower(),
                "shortNames": [names.SHORT],
                "categories": ["mljupyter"],
            },
            "versions": [
                {
                    "name": names.API_VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _schema()},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        *(
                            {"name": name, "type": "string", "jsonPath": path, "description": text}
                            for name, path, text in _COLUMNS
                        ),
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                }
            ],
        },
    }


def columns(status: EndpointStatus) -> dict[str, str]:
    """Return the fields of the custom resource's status that ``kubectl get`` shows and the document does not have.

    Example:
        >>> from mljupyter.spec import VersionStatus
        >>> versions = {"a": VersionStatus(weight=80, replicas_wanted=2, replicas_ready=1), "b": VersionStatus()}
        >>> columns(EndpointStatus(versions=versions))
        {'replicas': '1/2', 'traffic': 'a 80%, b 0%'}

    """
    shares = ", ".join(f"{name} {version.weight}%" for name, version in status.versions.items())
    return {"replicas": status.replicas, "traffic": shares}


def _schema() -> dict[str, Any]:
    document = EndpointSpec.model_json_schema(by_alias=True)
    spec = _structural(document, document.get("$defs", {}))
    # The name is that of the object, and the compute target is the cluster itself.
    spec["required"] = [name for name in spec["required"] if name not in ("name", "computeTarget")]
    shortest, longest = _NAME_LENGTHS
    return {
        "type": "object",
        "description": "An endpoint: one scoring URI, its authentication and one to six versions of a model.",
        "required": ["spec"],
        "properties": {
            "metadata": {
                "type": "object",
                "properties": {
                    "name": {
                        "type": "string",
                        "minLength": shortest,
                        "maxLength": longest,
                        "pattern": r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
                        "description": f"The endpoint's name: {ENDPOINT.text}.",
                    }
                },
            },
            "spec": spec,
            "status": {"type": "object", _PRESERVE: True},
        },
    }


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON schema as a structural schema: without references, alternatives and defaults."""
    schema = _resolved(schema, definitions)
    alternatives = [_resolved(item, definitions) for item in schema.get("anyOf", ())]
    chosen = [item for item in alternatives if item.get("type") != "null"]
    if alternatives and len(chosen) != 1:
        raise ValueError(f"no structural schema can be made of the alternatives {alternatives}")
    if alternatives:
        return _structural(chosen[0], definitions) | dict(_described(schema)) | {"nullable": True}
    result = {key: schema[key] for key in _KEPT if key in schema} | dict(_described(schema)) | dict(_bounds(schema))
    if result.get("maxLength") == EndpointSpec.model_config["str_max_length"]:
        del result["maxLength"]  # an object on a cluster is never that large
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if schema.get("type") == "integer":
        result["format"] = "int64"
    if "items" in schema:
        result["items"] = _structural(schema["items"], definitions)
    if "properties" in schema:
        result["properties"] = {name: _structural(value, definitions) for name, value in schema["properties"].items()}
        result[_PRESERVE] = True
        if schema.get("required"):
            result["required"] = list(schema["required"])
    elif isinstance(schema.get("additionalProperties"), Mapping):
        result["additionalProperties"] = _structural(schema["additionalProperties"], definitions)
    return result


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return {**definitions[reference.rpartition("/")[2]], **{key: schema[key] for key in schema if key != "$ref"}}


def _described(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the description without reST marks; of a docstring only its first paragraph."""
    if "description" in schema:
        text = re.split(r"\n\s*\n", schema["description"])[0]
        yield "description", " ".join(text.replace("``", "").replace("`", "").split())


def _bounds(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield exclusive bounds as Kubernetes writes them: a bound, and True beside it."""
    for name in ("Minimum", "Maximum"):
        exclusive = schema.get(f"exclusive{name}")
        if exclusive is not None:
            yield name.lower(), exclusive
            yield f"exclusive{name}", True
