"""Form of a request: one field for each value of the example in an endpoint's description of its API."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mljupyter.engine.endpoints.client_snippets import PLACEHOLDER
from mljupyter.engine.requests.encoder import json_text

WHOLE = "request"
_MOST_FIELDS = 40
Kind = Literal["number", "text", "boolean", "json"]
_RULES = {"number": "it must be a number", "boolean": "it must be true or false", "json": "it must be JSON"}


@dataclass(frozen=True)
class FormField:
    """A field of a request.

    Parameters:
        key: its name in the form.
        label: the name of the column, or its number.
        kind: the kind of value.
        value: the value of the example, as text.
        path: its place in the request; empty for the whole request.

    """

    key: str
    label: str
    kind: Kind
    value: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True)
class RequestForm:
    """The fields of a request, and the example that they change."""

    fields: tuple[FormField, ...]
    example: Any

    def body(self, typed: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Return the text of the request, and errors by label; the text is empty if there are any.

        Parameters:
            typed: text by the key of the field; a field that is missing has its example.

        """
        found = copy.deepcopy(self.example)
        errors: dict[str, str] = {}
        for field in self.fields:
            try:
                value = _value(field.kind, typed.get(field.key, field.value))
            except (ValueError, RecursionError):
                errors[field.label] = _RULES[field.kind]
                continue
            found = _with(found, field.path, value)
        return ("" if errors else json_text(found)), errors


def form_of(description: Mapping[str, Any]) -> RequestForm:
    """Return the form for the description of an API (swagger 2.0 or OpenAPI 3).

    The example has one row. Without an example, or with very many values, the request is a single field with JSON.

    Example:
        >>> schema = {"example": {"data": [{"age": 5.0}, {"age": 6.0}]}}
        >>> form = form_of({"definitions": {"ServiceInput": schema}})
        >>> [field.label for field in form.fields], form.body({"number0": "7"})
        (['age'], ('{"data": [{"age": 7}]}', {}))

    """
    schema = _input_schema(description)
    example = json.loads(json_text(_first_rows(schema["example"])) if "example" in schema else PLACEHOLDER)
    places = list(_places(example, ())) if "example" in schema else []
    if not 0 < len(places) <= _MOST_FIELDS:
        return RequestForm((FormField(WHOLE, "Request", "json", json_text(example)),), example)
    names = [_label(path) for path, _ in places]
    seen = Counter(names)
    fields = []
    for number, ((path, value), name) in enumerate(zip(places, names, strict=True)):
        kind = _kind(value)
        label = name if seen[name] == 1 else " ".join(map(str, path))
        text = value if isinstance(value, str) else json.dumps(value)
        fields.append(FormField(f"{kind}{number}", label, kind, text, path))
    return RequestForm(tuple(fields), example)


def example_request(description: Mapping[str, Any]) -> str | None:
    """Return the example in the description of an API with its first row, as JSON text; None if it has none.

    Example:
        >>> example_request({"definitions": {"ServiceInput": {"example": {"data": [[1, 2], [3, 4]]}}}})
        '{"data": [[1, 2]]}'

    """
    example = _input_schema(description).get("example")
    return json_text(_first_rows(example)) if example else None


def _input_schema(description: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a request, in swagger 2.0 or OpenAPI 3; empty if the description has none."""
    found: Any = description.get("definitions")
    if not found:
        components = description.get("components")
        found = components.get("schemas") if isinstance(components, Mapping) else None
    schema = found.get("ServiceInput") if isinstance(found, Mapping) else None
    return schema if isinstance(schema, Mapping) else {}


def _first_rows(value: Any) -> Any:
    """Return an example with one row in each list of rows; a row itself stays whole, whatever its shape.

    The list ``index`` beside rows is cut like them. If another list beside them may belong to the rows too, since it is
    as long, nothing is cut.
    """
    if _has_rows(value):
        return [value[0]]
    if not isinstance(value, dict):
        return value
    lengths = {len(item) for item in value.values() if _has_rows(item)}
    for key, item in value.items():
        others = isinstance(item, list) and not _has_rows(item) and key not in ("index", "columns")
        if others and len(item) > 1 and len(item) in lengths:
            return value
    found = {str(key): _first_rows(item) for key, item in value.items()}
    if isinstance(value.get("index"), list) and lengths == {len(value["index"])}:
        found["index"] = value["index"][:1]
    return found


def _has_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], (dict, list))


def _places(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _places(item, (*path, place))
    else:
        yield path, value


def _label(path: tuple[str | int, ...]) -> str:
    if not path:
        return "Request"
    return f"column {path[-1] + 1}" if isinstance(path[-1], int) else path[-1]


def _kind(value: Any) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "text" if isinstance(value, str) else "json"


def _value(kind: Kind, text: str) -> Any:
    if kind == "text":
        return text
    value = json.loads(text, parse_constant=_refuse)
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, (int, float, type(None)))):
        raise ValueError(text)
    if kind == "boolean" and not isinstance(value, (bool, type(None))):
        raise ValueError(text)
    return value


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _with(example: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return the example with a value in its place."""
    if not path:
        return value
    inner = example
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return example


def rows_are_objects(document: Mapping[str, Any]) -> bool:
    """Return whether the rows of ``data`` are objects, in the description of an API (the document of swagger_uri).

    Example:
        >>> rows = {"type": "array", "items": {"type": "object", "properties": {"age": {"type": "integer"}}}}
        >>> rows_are_objects({"definitions": {"ServiceInput": {"properties": {"data": rows}}}})
        True

    """
    found: Any = document
    for key in ("definitions", "ServiceInput", "properties", "data", "items"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return isinstance(found, Mapping) and found.get("type") == "object"
