"""Payloads: the JSON types that `serialize` returns, read by `deserialize`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.exceptions import WebserviceException


def payload_text(payload: Mapping[str, Any], key: str, what: str) -> str:
    """Return a text of a payload.

    Parameters:
        payload: the JSON types of `serialize`.
        key: the key of the text.
        what: the kind of the item, such as ``a model``.

    Raises:
        WebserviceException: the payload is no dict, or has no such text.

    Example:
        >>> payload_text({"id": "ridge:1"}, "id", "a model")
        'ridge:1'

    """
    value = payload.get(key) if isinstance(payload, Mapping) else None
    if not isinstance(value, str) or not value:
        raise WebserviceException(
            f"The payload does not describe {what}: it has no {key!r}.\nRule: a dict as serialize() returns it."
        )
    return value
