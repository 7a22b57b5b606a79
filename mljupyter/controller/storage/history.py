"""The change history of endpoints in the controller's database. It has a limited length."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from mljupyter.controller.storage.database import Database
from mljupyter.spec import EndpointSpec
from mljupyter.spec.difference import difference_lines
from mljupyter.spec.history import HistoryEntry

MOST_ENTRIES = 100
MOST_USER_CHARACTERS = 100


@dataclass(frozen=True)
class Change:
    """The author of a change to an endpoint, and the action; by default created or updated, depending on the specs."""

    user: str = ""
    action: str = ""


UNNAMED = Change()


def add(
    connection: sqlite3.Connection, before: EndpointSpec | None, spec: EndpointSpec, change: Change, time: str
) -> None:
    """Add an entry to an endpoint's history and drop the oldest above the limit. An equal spec adds no entry.

    Parameters:
        connection: a connection in the transaction that writes the spec.
        before: the spec so far, None for a new endpoint.
        spec: the new spec.
        change: the author of the change, and the action.
        time: the time in ISO format.

    """
    if before == spec:
        return
    lines = difference_lines(before.document(), spec.document()) if before else []
    action = change.action or ("updated" if before else "created")
    newest = "SELECT coalesce(max(number), 0) FROM history WHERE endpoint = ?"
    number = int(connection.execute(newest, (spec.name,)).fetchone()[0]) + 1
    values = (spec.name, number, time, change.user[:MOST_USER_CHARACTERS], action, json.dumps(lines), spec.json_text())
    connection.execute(
        "INSERT INTO history (endpoint, number, time, user, action, changes, spec) VALUES (?, ?, ?, ?, ?, ?, ?)", values
    )
    connection.execute("DELETE FROM history WHERE endpoint = ? AND number <= ?", (spec.name, number - MOST_ENTRIES))


def read(database: Database, name: str) -> list[HistoryEntry]:
    """Return an endpoint's history, the oldest entry first."""
    rows = database.rows("SELECT * FROM history WHERE endpoint = ? ORDER BY number", name)
    return [
        HistoryEntry(
            number=row["number"],
            time=datetime.fromisoformat(row["time"]),
            user=row["user"],
            action=row["action"],
            changes=json.loads(row["changes"]),
            spec=EndpointSpec.parse(row["spec"]),
        )
        for row in rows
    ]
