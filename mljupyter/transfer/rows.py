"""Rows of tables as JSON documents, and back with the rules of their columns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Integer, String, Table

from mljupyter.registry.catalog.tables import UtcDateTime

_LARGEST = {Integer: 2**31 - 1, BigInteger: 2**63 - 1}


def document_of(row: Mapping[str, Any], *, without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return a row as a JSON document. Times are in ISO 8601, with their zone."""
    return {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in row.items()
        if key not in without
    }


def values_of(table: Table, document: Any) -> dict[str, Any]:
    """Return the values of a row from its document; columns without one are None.

    Raises:
        ValueError: the document has another column, or a value of another type. The text has the column.

    >>> from mljupyter.registry.catalog.tables import MODEL_COUNTERS
    >>> values_of(MODEL_COUNTERS, {"name": "ridge", "last_version": 3})
    {'name': 'ridge', 'last_version': 3}
    """
    if not isinstance(document, dict):
        raise ValueError(f"{document!r:.80} is no row of {table.name}")
    if unknown := sorted(document.keys() - {column.name for column in table.columns}):
        raise ValueError(f"{table.name} has no column {unknown[0]!r:.80}")
    return {column.name: _value(column, document.get(column.name)) for column in table.columns}


def _value(column: Column[Any], value: Any) -> Any:
    kind = column.type
    if value is None:
        if column.nullable:
            return None
        raise ValueError(f"{column.name} is missing")
    if isinstance(kind, JSON):
        return value
    if isinstance(kind, UtcDateTime):
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is None or time.tzinfo is None:
            raise ValueError(f"{column.name} is no time with a zone: {value!r:.80}")
        return time
    if isinstance(kind, Boolean):
        valid = isinstance(value, bool)
    elif isinstance(kind, Integer):
        largest = _LARGEST[BigInteger if isinstance(kind, BigInteger) else Integer]
        valid = type(value) is int and 0 <= value <= largest
    else:
        longest = kind.length if isinstance(kind, String) else None
        valid = isinstance(value, str) and (longest is None or len(value) <= longest)
    if not valid:
        raise ValueError(f"{column.name} has the value {value!r:.80}")
    return value
