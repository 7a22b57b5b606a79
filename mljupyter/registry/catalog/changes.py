"""The change log of a workspace: who changed which registered item, and when."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, insert, select
from sqlalchemy.engine import Connection

from mljupyter.ownership import user_name
from mljupyter.registry.catalog.change_tables import CHANGES
from mljupyter.registry.catalog.transactions import reading

_MOST_CHARACTERS = 300
_MOST_LINES = 50


@dataclass(frozen=True)
class Change:
    """One change of a registered item.

    Parameters:
        time: its time, in UTC.
        user: the login name of the user.
        kind: model, environment, image, dataset, datastore, endpoint.
        item: the id or name of the item.
        action: registered, changed, deleted and others.
        details: lines for people.

    """

    time: datetime
    user: str
    kind: str
    item: str
    action: str
    details: tuple[str, ...] = ()


class ChangeLog:
    """Reads the changes of registered items. They are recorded in the transactions that make them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(
        self, *, kind: str | None = None, item: str | None = None, user: str | None = None, most: int = 1000
    ) -> builtins.list[Change]:
        """Return the newest changes that satisfy all given filters, oldest first.

        Parameters:
            kind, user: only this kind, only by this user.
            item: only this item; a name without a version is for all its versions.
            most: the largest number of changes.

        """
        query = select(CHANGES).order_by(CHANGES.c.id.desc()).limit(most)
        if kind is not None:
            query = query.where(CHANGES.c.kind == kind)
        if user is not None:
            query = query.where(CHANGES.c.changed_by == user)
        if item is not None:
            versions = CHANGES.c.item.startswith(f"{item}:", autoescape=True)
            query = query.where((CHANGES.c.item == item) | versions)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [
            Change(row.time, row.changed_by, row.kind, row.item, row.action, tuple(map(str, row.details)))
            for row in reversed(rows)
        ]


def record_change(
    connection: Connection,
    kind: str,
    item: str,
    action: str,
    details: Sequence[str] = (),
    *,
    user: str | None = None,
) -> None:
    """Record a change in the transaction that makes it.

    Parameters:
        connection: the transaction.
        kind, item, action, details: see `Change`. Long lines are cut.
        user: by default the user of this process.

    """
    lines = [line if len(line) <= _MOST_CHARACTERS else line[: _MOST_CHARACTERS - 3] + "..." for line in details]
    values = {
        "time": datetime.now(UTC),
        "changed_by": user or user_name(),
        "kind": kind,
        "item": item,
        "action": action,
        "details": lines[:_MOST_LINES],
    }
    connection.execute(insert(CHANGES).values(values))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> builtins.list[str]:
    """Return a line for each value that differs, such as ``tags.area: demo -> churn``.

    >>> differences({"tags": {"area": "demo"}}, {"tags": {}})
    ['tags.area: demo -> none']
    """
    lines = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += [f"{key}.{line}" for line in differences(old, new)]
        else:
            lines.append(f"{key}: {_shown(old)} -> {_shown(new)}")
    return lines


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
