"""Filters by tags and properties, for models, images and web services."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mljupyter.registry.errors import ModelError


def checked_filter(value: object, what: str) -> list[tuple[str, str | None]]:
    """Return a filter as pairs of key and wanted value, None for any.

    Its items are ``"key"`` or ``["key", "value"]`` (Azure ML v1: filters of lists).
    """
    if value is None:
        return []
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise _filter_error(value, what)
    pairs: list[tuple[str, str | None]] = []
    for item in value:
        if isinstance(item, str):
            pairs.append((item, None))
        elif isinstance(item, list | tuple) and len(item) in (1, 2) and isinstance(item[0], str):
            pairs.append((item[0], str(item[1]) if len(item) == 2 else None))
        else:
            raise _filter_error(value, what)
    return pairs


def matches(values: Mapping[str, str], wanted: list[tuple[str, str | None]]) -> bool:
    """Whether tags or properties satisfy every item of a filter."""
    return all(key in values and (value is None or values[key] == value) for key, value in wanted)


def _filter_error(value: object, what: str) -> ModelError:
    return ModelError(
        f"{what} filters by a list of 'key' or ['key', 'value'], such as [['area', 'demo']]: {value!r:.80}."
    )
