"""``%rollback`` and ``%mlj history``: earlier states of an endpoint."""

from __future__ import annotations

from typing import Any

from mljupyter.engine.rollout.rules import rollback_target
from mljupyter.engine.rollout.traffic import all_shares
from mljupyter.errors import MLJupyterError
from mljupyter.magics.commands.dry_run import NOTHING_DONE, is_preview, present, preview, shown
from mljupyter.magics.commands.endpoints import webservice
from mljupyter.magics.commands.interrupts import taken_back_if_interrupted
from mljupyter.magics.magic import Call, json_line
from mljupyter.notebook.endpoint_commands import roll_back
from mljupyter.notebook.views.history import COLUMNS, documents, rows
from mljupyter.notebook.views.views import Table, Text
from mljupyter.spec import EndpointSpec


class NothingToGoBackToError(MLJupyterError):
    """The history of an endpoint has no entry to restore."""


def run(call: Call) -> Any:
    """Roll an endpoint back, print the changes, and return nothing."""
    return go_back(call, call["to"])


def go_back(call: Call, number: int | None) -> Any:
    """Roll the endpoint of a magic back, and print the changes."""
    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # raises an error with the nearest name
    if is_preview(call):
        return _preview(call, number)
    with taken_back_if_interrupted(call):
        entry, lines = roll_back(workspace, call["name"], number)
    if call["json"]:
        print(json_line(documents([entry])[0]))
        return None
    for text in lines:
        call.say(text)
    return None


def _preview(call: Call, number: int | None) -> Any:
    record = present(call)
    rollout = record.rollout
    if number is None and rollout is not None and rollout.active and not call["code"]:
        text = f"{call['name']}: the rollout would be aborted {NOTHING_DONE}\n  {rollout.text()}"
        text += f"\n  Shares then: {all_shares(record.spec)}"
        return shown(call, Text(text), {"endpoint": call["name"], "action": "abort", "rollout": rollout.document()})

    def wanted(spec: EndpointSpec) -> EndpointSpec:
        entries = call.session.workspace().endpoints.history(call["name"])
        target = rollback_target(entries, spec, number)
        if target is None:
            name = call["name"]
            if number is None:
                raise NothingToGoBackToError(
                    f"{name!r} was not changed yet: there is no earlier state to roll back to."
                )
            known = (
                f"its entries are {entries[0].number} to {entries[-1].number}" if entries else "it has no entries yet"
            )
            raise NothingToGoBackToError(
                f"{name!r} has no entry {number} in its history; {known}. See %mlj history {name}"
            )
        return target.spec

    return preview(call, "rollback", {"number": number}, wanted)


def run_history(call: Call) -> Any:
    """Return the history of an endpoint as a table."""
    service = webservice(call.session.workspace(), call["name"])
    entries = service.history()
    found = documents(entries)
    if call["json"]:
        print(json_line(found))
        return call.deliver(found) if call["output"] else None
    return call.deliver(Table(COLUMNS, rows(entries), found, "No changes."))
