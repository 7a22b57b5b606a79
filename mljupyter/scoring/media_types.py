"""Content types."""

from __future__ import annotations


def is_json(content_type: str) -> bool:
    """Return whether a content type announces JSON: ``application/json``, ``application/problem+json``."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
