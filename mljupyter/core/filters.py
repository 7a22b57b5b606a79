"""The filters of the SDK's lists (Azure ML v1: tags and properties in `list`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from mljupyter.exceptions import UserErrorException

Filters: TypeAlias = "Sequence[str | Sequence[str]] | Mapping[str, str] | None"


def pairs(filters: Filters) -> list[tuple[str, str | None]]:
    """Return filters as pairs of key and value; the value is None where any will do.

    Parameters:
        filters: a list of ``"key"`` and ``["key", "value"]``; a mapping stands for its pairs.

    Raises:
        UserErrorException: when an item is neither.

    Example:
        >>> pairs(["area", ["owner", "ana"]])
        [('area', None), ('owner', 'ana')]

    """
    if filters is None:
        return []
    if isinstance(filters, str):
        return [(filters, None)]
    return [_pair(item) for item in (filters.items() if isinstance(filters, Mapping) else filters)]


def items(filters: Filters) -> list[str | list[str]]:
    """Return filters as the registry takes them: ``"key"`` and ``["key", "value"]``; raises as `pairs` does."""
    return [key if value is None else [key, value] for key, value in pairs(filters)]


def matches(present: Mapping[str, str], filters: Filters) -> bool:
    """Whether tags or properties pass all filters."""
    return all(key in present and value in (None, present[key]) for key, value in pairs(filters))


def _pair(item: str | Sequence[str]) -> tuple[str, str | None]:
    if isinstance(item, str):
        return item, None
    if isinstance(item, Sequence) and len(item) == 2 and all(isinstance(part, str) for part in item):
        return item[0], item[1]
    raise UserErrorException(f'{item!r} is no filter. A filter is "key" or ["key", "value"].')
