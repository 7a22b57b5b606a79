"""Base class of all documents, and validation errors that name the field and its rule."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from mljupyter.errors import MLJupyterError
from mljupyter.visible import shown_value

_MOST_SHOWN = 5
_MOST_CHARACTERS = 200
_LONGEST_TEXT = 4_000_000
_OF_PYDANTIC = re.compile(r"function-after\Z|constrained-str\Z|(?:dict|list)\[")  # pydantic's names of alternatives
_SECRETS = {"environmentVariables", "password"}  # fields whose values are not shown


def camel_case(name: str) -> str:
    """Return a field's key in JSON and YAML: ``memory_in_gb`` is ``memoryInGB`` (Azure ML v1: JSON files)."""
    return to_camel(name).replace("InGb", "InGB")


class SpecError(MLJupyterError):
    """A document breaks a rule. The text names each field, its value and the rule."""


class Document(BaseModel):
    """A validated, immutable document with camelCase keys.

    Python code uses snake_case names, JSON and YAML use camelCase. Both can be parsed.
    """

    model_config = ConfigDict(
        alias_generator=camel_case,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        str_max_length=_LONGEST_TEXT,
        hide_input_in_errors=True,
    )

    @classmethod
    def parse(cls, data: Mapping[str, Any] | str | bytes) -> Self:
        """Read a document from a mapping or from JSON text.

        Raises:
            SpecError: with every field that breaks a rule, its value and the rule.

        """
        try:
            if isinstance(data, (str, bytes)):
                return cls.model_validate_json(data)
            return cls.model_validate(data)
        except ValidationError as error:
            raise SpecError(explain(cls, error)) from None

    def document(self) -> dict[str, Any]:
        """Return the document as JSON types with camelCase keys, unset optional fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def json_text(self) -> str:
        """Return the document as JSON text with camelCase keys."""
        return self.model_dump_json(by_alias=True, exclude_none=True)


def explain(cls: type[BaseModel], error: ValidationError) -> str:
    """Return a pydantic error as sentences: one line for each field, at most five."""
    details = error.errors(include_url=False)
    lines = [_sentence(cls, detail) for detail in details[:_MOST_SHOWN]]
    if len(details) > _MOST_SHOWN:
        lines.append(f"... and {len(details) - _MOST_SHOWN} more.")
    return "\n".join(lines)


def _sentence(cls: type[BaseModel], detail: ErrorDetails) -> str:
    path = [str(part) for part in detail["loc"] if not _OF_PYDANTIC.match(str(part))]
    field = ".".join(path)[:_MOST_CHARACTERS] or cls.__name__
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return f"{field} is missing: it is required."
    if kind == "extra_forbidden":
        known = _fields_at(cls, path[:-1])
        near = difflib.get_close_matches(path[-1], known, n=1)
        return f"{field} is not a known field." + (
            f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(known)}." if known else ""
        )
    rule = detail["msg"].removeprefix("Value error, ")
    if kind == "value_error" or isinstance(value, (dict, BaseModel)):
        return f"{field}: {rule}" if path else rule
    if not _SECRETS.isdisjoint(path):
        return f"{field}: {rule[:1].lower()}{rule[1:]}."
    # A list in the wrong place may contain whole documents with their environment variables.
    shown = "a list" if isinstance(value, list) else shown_value(value)
    return f"{field} is {shown}: {rule[:1].lower()}{rule[1:]}."


def _fields_at(cls: type[BaseModel], path: list[str]) -> list[str]:
    """Return the keys that a document accepts at a path, if field names lead there."""
    current = cls
    steps = iter(path)
    for step in steps:
        annotation = {info.alias: info.annotation for info in current.model_fields.values()}.get(step)
        if get_origin(annotation) is dict:
            next(steps, None)  # the key of the mapping: any name
        documents = [
            item
            for item in (annotation, *get_args(annotation))
            if isinstance(item, type) and issubclass(item, BaseModel)
        ]
        if not documents:
            return []
        current = documents[0]
    return [info.alias or name for name, info in current.model_fields.items()]
