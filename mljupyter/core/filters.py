"""Filters by tags and properties, for the `list` methods.

Azure: the forms are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from mljupyter.exceptions import UserErrorException
from mljupyter.registry.catalog import filters as catalog

Filters: TypeAlias = "Sequence[str | Sequence[str]] | Mapping[str, str] | None"


def pairs(filters: Filters) -> list[tuple[str, str | None]]:
    """Return filters as pairs of key and value; the value is None for any value.

    Parameters:
        filters: a list of ``"key"`` and ``["key", "value"]``; a dict stands for its pairs.

    Raises:
        UserErrorException: an item has another form.

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
    """Return filters in the form of the registry: ``"key"`` and ``["key", "value"]``.

    Raises:
        UserErrorException: an item has another form.

    """
    return [key if value is None else [key, value] for key, value in pairs(filters)]


def matches(present: Mapping[str, str], filters: Filters) -> bool:
    """Return whether tags or properties pass all filters."""
    return catalog.matches(present, pairs(filters))


def _pair(item: str | Sequence[str]) -> tuple[str, str | None]:
    if isinstance(item, str):
        return item, None
    if isinstance(item, Sequence) and len(item) == 2 and all(isinstance(part, str) for part in item):
        return item[0], item[1]
    raise UserErrorException(f'{item!r} is not a filter. A filter is "key" or ["key", "value"].')
