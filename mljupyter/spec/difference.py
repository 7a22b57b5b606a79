"""The difference between two documents, field by field, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.visible import one_line

NOTHING = "none"
MOST_LINES = 40
_SECRET = "environmentVariables"  # noqa: S105 - the name of a field; its values may be secrets
HIDDEN = "***"
"""Replaces a value that may be secret."""

_DIGEST = "sha256:"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return each field that differs between two JSON documents: its path, the value before, the value after.

    Example:
        >>> differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2, "d": 4})
        [('a.b', 1, 3), ('d', 'none', 4)]

    """
    old, new = dict(leaves(before)), dict(leaves(after))
    return [
        (path, old.get(path, NOTHING), new.get(path, NOTHING))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def difference_lines(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return the differences as lines, at most 40. Values of environment variables are not shown.

    Example:
        >>> difference_lines({"a": 1, "versions": {"x": {"y": 1}}}, {"a": 2, "versions": {"z": {"y": 1}}})
        ['a: 1 → 2', 'versions.x: removed', 'versions.z: added']

    """
    came, went = _members(after) - _members(before), _members(before) - _members(after)
    found = [_line(*item) for item in differences(_without(before, went), _without(after, came))]
    found += [f"{one_line(path)}: removed" for path in sorted(went)] + [
        f"{one_line(path)}: added" for path in sorted(came)
    ]
    return found if len(found) <= MOST_LINES else [*found[:MOST_LINES], f"... and {len(found) - MOST_LINES} more"]


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Return path and value of each leaf of a JSON document. Empty values are left out."""
    if isinstance(value, Mapping) and value:
        return [leaf for key in sorted(value) for leaf in leaves(value[key], f"{path}.{key}" if path else key)]
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return [leaf for number, item in enumerate(value) for leaf in leaves(item, f"{path}[{number}]")]
    return [] if value in ({}, []) else [(path, value)]


def short(value: Any) -> str:
    """Return a value as text on one line. A digest is shortened to its first characters."""
    text = one_line(str(value))
    return text[: len(_DIGEST) + 12] if text.startswith(_DIGEST) else text


def shown(path: str, value: Any) -> str:
    """Return the value of a field as text. Values of environment variables are hidden, since they may be secrets.

    Example:
        >>> shown("versions.a.environmentVariables.TOKEN", "hunter2"), shown("versions.a.port", 80)
        ('***', '80')

    """
    hidden = f".{_SECRET}." in f".{path}." and value != NOTHING
    return HIDDEN if hidden else short(value)


def masked(document: Any) -> Any:
    """Return a JSON document with `HIDDEN` instead of the values of all environment variables in it.

    Example:
        >>> masked({"versions": {"a": {"environmentVariables": {"TOKEN": "hunter2"}, "port": 80}}})
        {'versions': {'a': {'environmentVariables': {'TOKEN': '***'}, 'port': 80}}}

    """
    if isinstance(document, list):
        return [masked(item) for item in document]
    if not isinstance(document, Mapping):
        return document
    return {
        key: dict.fromkeys(value, HIDDEN) if key == _SECRET and isinstance(value, Mapping) else masked(value)
        for key, value in document.items()
    }


def _line(path: str, before: Any, after: Any) -> str:
    return f"{one_line(path)}: {shown(path, before)} → {shown(path, after)}"


def _members(document: Mapping[str, Any]) -> set[str]:
    """Return the paths of mappings that are added or removed as a whole: the members of mappings, such as versions."""
    return {
        f"{key}.{name}"
        for key, value in document.items()
        if isinstance(value, Mapping)
        for name, item in value.items()
        if isinstance(item, Mapping)
    }


def _without(document: Mapping[str, Any], members: set[str]) -> dict[str, Any]:
    return {
        key: {name: item for name, item in value.items() if f"{key}.{name}" not in members}
        if isinstance(value, Mapping)
        else value
        for key, value in document.items()
    }
