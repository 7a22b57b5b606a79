"""Base class of the SDK's value types, which are documents of Azure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

from mljupyter.spec.document import camel_case


@dataclass
class Part:
    """Base class: attributes that are read from and written to JSON types with camelCase keys."""

    def serialize(self) -> dict[str, Any]:
        """Return the value as JSON types with camelCase keys."""
        return {_key(field): getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def deserialize(cls, payload_obj: dict[str, Any] | None) -> Self | None:
        """Return the value from the JSON types of `serialize`; None for None."""
        if payload_obj is None:
            return None
        return cls(**{field.name: payload_obj.get(_key(field)) for field in dataclasses.fields(cls)})


def _key(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("key", camel_case(field.name)))
