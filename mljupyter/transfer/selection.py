"""Decisions of exports and imports, without I/O: the chosen items, and the action for each item of an archive."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """The action for one item of an archive."""

    ADD = "add"
    KEEP = "keep"
    RENUMBER = "renumber"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class Decision:
    """The action for the item `name`:`version`, and the version that it has afterwards."""

    name: str
    version: int
    action: Action
    becomes: int

    @property
    def id(self) -> str:
        """The id in the archive."""
        return f"{self.name}:{self.version}"

    @property
    def new_id(self) -> str:
        """The id in the workspace."""
        return f"{self.name}:{self.becomes}"


def chosen(kind: str, wanted: Sequence[str] | None, present: Collection[str]) -> list[str]:
    """Return the ids that names and ids select, in the order of `present`; all of them for None.

    Parameters:
        kind: the kind of the items, for the text of the error.
        wanted: names, which select all versions, and ids such as ``ridge:3``.
        present: the ids that exist.

    Raises:
        LookupError: one selects nothing.

    >>> chosen("model", ["ridge"], ["lasso:1", "ridge:1", "ridge:2"])
    ['ridge:1', 'ridge:2']
    """
    if wanted is None:
        return list(present)
    found = set()
    for text in wanted:
        mine = {item for item in present if text in (item, item.rpartition(":")[0])}
        if not mine:
            names = sorted({item.rpartition(":")[0] or item for item in present} | set(present))
            near = difflib.get_close_matches(text, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names[:10]) or 'none'}."
            raise LookupError(f"There is no {kind} {text!r}. {hint}")
        found |= mine
    return [item for item in present if item in found]


def decided(
    archived: Mapping[tuple[str, int], Any],
    present: Mapping[tuple[str, int], Any],
    used: Mapping[str, int],
    *,
    renumber: bool = False,
) -> list[Decision]:
    """Return the action for each item of an archive, in the order of names and versions.

    An item with the content of the present one is kept as it is. One with other content, or under a number that a
    deleted item had, is a conflict; with `renumber` it gets the next number of its name, or is the present version
    that has its content.

    Parameters:
        archived, present: the content of items, such as a digest, by name and version.
        used: the highest version number that each name has had in the workspace.
        renumber: whether conflicts get the next number.

    """
    last = dict(used)
    contents: dict[tuple[str, Any], int] = {}
    for (name, version), content in sorted(present.items(), key=lambda item: item[0]):
        contents[name, _key(content)] = version
    decisions = []
    for name, version in sorted(archived):
        content = archived[name, version]
        if (name, version) in present and present[name, version] == content:
            decisions.append(Decision(name, version, Action.KEEP, version))
        elif (name, version) not in present and version > used.get(name, 0):
            decisions.append(Decision(name, version, Action.ADD, version))
            last[name] = max(last.get(name, 0), version)
        elif not renumber:
            decisions.append(Decision(name, version, Action.CONFLICT, version))
        elif (twin := contents.get((name, _key(content)))) is not None:
            decisions.append(Decision(name, version, Action.KEEP, twin))
        else:
            decisions.append(Decision(name, version, Action.RENUMBER, 0))
    # New numbers come after all those of the archive that keep theirs.
    final = []
    for one in decisions:
        if one.action is Action.RENUMBER:
            last[one.name] = last.get(one.name, 0) + 1
            final.append(Decision(one.name, one.version, Action.RENUMBER, last[one.name]))
        else:
            final.append(one)
    return final


def _key(content: Any) -> str:
    return repr(content)
