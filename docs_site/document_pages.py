"""The reference of the documents: a table for each, and JSON Schema for editors, both made from the pydantic models."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mljupyter.spec import Document, EndpointRecord, EndpointSpec, RolloutPlan, RouterRecord, RouterSpec
from mljupyter.spec.document import camel_case

FOLDER = "reference"
_LARGEST = 2**31 - 1  # the bound of whole numbers everywhere, which says nothing about one of them
_LONGEST = 4_000_000  # that of texts


class Published(NamedTuple):
    """A document that has a schema of its own.

    Parameters:
        model: its pydantic model.
        file: the name of the file with its JSON Schema.
        use: a sentence that says where it is used.

    """

    model: type[Document]
    file: str
    use: str


DOCUMENTS = (
    Published(
        EndpointSpec,
        "endpoint.schema.json",
        "`%%deploy` reads it, the controller stores it, and a custom resource `MLEndpoint` has it as `spec`.",
    ),
    Published(
        EndpointRecord,
        "endpoint-record.schema.json",
        "`mljupyter endpoint show NAME --json` prints it.",
    ),
    Published(RolloutPlan, "rollout.schema.json", "A rollout in steps follows it."),
    Published(RouterSpec, "router.schema.json", "`mljupyter router` changes it."),
    Published(RouterRecord, "router-record.schema.json", "`mljupyter router show --json` prints it."),
)


def pages() -> dict[str, str]:
    """Return the page and the schemas by their places in the site."""
    schemas = {one.file: json.dumps(schema(one.model), indent=2) for one in DOCUMENTS}
    return {f"{FOLDER}/{file}": text for file, text in schemas.items()} | {f"{FOLDER}/documents.md": _page()}


def schema(model: type[Document]) -> dict[str, Any]:
    """Return the JSON Schema of a document, with the names of its files."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema(by_alias=True)}


def _page() -> str:
    lines = [
        "# Documents",
        "",
        "Documents have camelCase keys in JSON and YAML, and snake_case names in Python. An unknown key is an error.",
        "With the JSON Schema of a document, an editor checks files and completes keys.",
        "",
    ]
    models: dict[str, Mapping[str, Any]] = {}
    for one in DOCUMENTS:
        whole = schema(one.model)
        lines += [*_section(one.model.__name__, whole, f"{one.use} [JSON Schema]({one.file})."), ""]
        models.update(whole.get("$defs", {}))
    for name in sorted(models.keys() - {one.model.__name__ for one in DOCUMENTS}):
        lines += [*_section(name, models[name]), ""]
    return "\n".join(lines)


def _section(name: str, model: Mapping[str, Any], use: str = "") -> list[str]:
    text = inspect.cleandoc(model.get("description", "")).partition("\n\nExample:")[0]
    lines = [f"## {name}", "", _with_keys(text, model.get("properties", {})), ""]
    if use:
        lines += [use, ""]
    if "enum" in model:
        lines += [f"One of {_values(model['enum'])}."]
    elif "properties" in model:
        lines += ["| key | value | default |", "|---|---|---|"]
        required = model.get("required", ())
        for key, value in model["properties"].items():
            default = "required" if key in required else _default(value)
            lines.append(f"| `{key}` | {_cell(kind(value))} | {_cell(default)} |")
    elif "type" in model:
        lines.append(kind(model))
    return lines


def _with_keys(text: str, properties: Iterable[str]) -> str:
    """Return a docstring with the keys of files in place of the names of Python."""
    for word in set(text.split("`")[1::2]):
        if (key := camel_case(word)) in properties:
            text = text.replace(f"`{word}`", f"`{key}`")
    return text


def kind(value: Mapping[str, Any]) -> str:
    """Return in words which values a schema allows, as Markdown."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(kind(one) for one in value["anyOf"] if one.get("type") != "null")
    if "enum" in value:
        return f"one of {_values(value['enum'])}"
    if "const" in value:
        return f"`{value['const']}`"
    match value.get("type"):
        case "array":
            return f"list of {kind(value.get('items', {}))}{_bounds(value, 'Items', ' entries')}"
        case "object":
            inner = value.get("additionalProperties")
            named = kind(inner) if isinstance(inner, dict) else "any value"
            return f"mapping of names to {named}{_bounds(value, 'Properties', ' entries')}"
        case "integer" | "number" as number:
            word = "whole number" if number == "integer" else "number"
            return word + _range(value.get("minimum", value.get("exclusiveMinimum")), value.get("maximum"), "")
        case "string":
            pattern = f" that matches `{value['pattern']}`" if "pattern" in value else ""
            return f"{value.get('format', 'text')}{pattern}{_bounds(value, 'Length', ' characters')}"
        case "boolean":
            return "`true` or `false`"
        case _:
            return "any value"


def _bounds(value: Mapping[str, Any], suffix: str, unit: str) -> str:
    return _range(value.get(f"min{suffix}"), value.get(f"max{suffix}"), unit)


def _range(least: float | None, most: float | None, unit: str) -> str:
    most = None if most in (_LARGEST, _LONGEST) else most
    if least is not None and most is not None:
        return f", {least} to {most}{unit}"
    if most is not None:
        return f", at most {most}{unit}"
    return f", at least {least}{unit}" if least else ""


def _default(value: Mapping[str, Any]) -> str:
    if value.get("default") in (None, {}, []):
        return ""
    return f"`{json.dumps(value['default'])}`"


def _values(values: Iterable[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
