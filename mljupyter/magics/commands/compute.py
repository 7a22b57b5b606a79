"""``%compute``: list the compute targets and whether they are available."""

from __future__ import annotations

from typing import Any

from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.views.views import MARKS, Table

COLUMNS = ("", "Target", "Kind", "State")


def run(call: Call) -> Any:
    """Return a table of the compute targets; an unavailable one has the reason and a solution."""
    workspace = call.session.workspace()
    found = []
    for target in workspace.compute_targets.values():
        problem = target.provisioning_errors
        state = "Succeeded" if problem is None else "Failed"
        found.append({**target.serialize(), "provisioningState": state, "provisioningErrors": problem})
    if call["json"]:
        print(json_line(found))
        return call.deliver(found) if call["output"] else None
    rows = [
        (
            MARKS["ok" if item["provisioningErrors"] is None else "failed"],
            item["name"],
            item["computeType"],
            " ".join((item["provisioningErrors"] or _ready(item)).split()),
        )
        for item in found
    ]
    return call.deliver(Table(COLUMNS, rows, found, ""))


def _ready(item: dict[str, Any]) -> str:
    place = item.get("mappedTo")
    return f"ready, a mapping to {place!r}" if place else "ready"
