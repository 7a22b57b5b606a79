"""``%rollback`` and ``%mlj history``: what an endpoint was before, and the way back to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mljupyter.errors import MLJupyterError
from mljupyter.magics.call import Call, json_line
from mljupyter.magics.dry_run import CODE, DRY_RUN, REHEARSED, is_rehearsal, present, rehearse, shown
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.interrupts import taken_back_if_interrupted
from mljupyter.magics.magic import Magic
from mljupyter.notebook.options.option import ENDPOINT_NAME, JSON, OUTPUT, QUIET, Option
from mljupyter.notebook.views.views import Table, Text

if TYPE_CHECKING:
    from mljupyter.spec import EndpointSpec


class NothingToGoBackToError(MLJupyterError):
    """The history of an endpoint has no entry to go back to."""


def run(call: Call) -> Any:
    """Roll an endpoint back, print what changed, and return nothing."""
    return go_back(call, call["to"])


def go_back(call: Call, number: int | None) -> Any:
    """Roll the endpoint that a magic names back, and print what changed."""
    from mljupyter.notebook.endpoint_commands import roll_back
    from mljupyter.notebook.views.history import documents

    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # its error has the nearest name
    if is_rehearsal(call):
        return _rehearsed(call, number)
    with taken_back_if_interrupted(call):
        entry, line = roll_back(workspace, call["name"], number)
    if call["json"]:
        print(json_line(documents([entry])[0]))
        return None
    for text in (line, *(f"  {change}" for change in entry.changes)):
        call.say(text)
    return None


def _rehearsed(call: Call, number: int | None) -> Any:
    from mljupyter.engine.rollout.history import rollback_target

    record = present(call)
    rollout = record.rollout
    if number is None and rollout is not None and rollout.active and not call["code"]:
        text = f"{call['name']}: the rollout would be aborted {REHEARSED}\n  {rollout.text()}"
        return shown(call, Text(text), {"endpoint": call["name"], "action": "abort", "rollout": rollout.document()})

    def wanted(spec: EndpointSpec) -> EndpointSpec:
        entries = call.session.workspace().endpoints.history(call["name"])
        target = rollback_target(entries, spec, number)
        if target is None:
            known = f" It has {entries[0].number} to {entries[-1].number}." if entries else ""
            what = "was not changed yet" if number is None else f"has no entry {number} in its history"
            raise NothingToGoBackToError(f"{call['name']!r} {what}: there is nothing to go back to.{known}")
        return target.spec

    return rehearse(call, "rollback", {"number": number}, wanted)


def run_history(call: Call) -> Any:
    """Return the history of an endpoint as a table."""
    from mljupyter.notebook.views.history import COLUMNS, documents, rows

    service = webservice(call.session.workspace(), call["name"])
    entries = service.history()
    found = documents(entries)
    if call["json"]:
        print(json_line(found))
        return call.deliver(found) if call["output"] else None
    return call.deliver(Table(COLUMNS, rows(entries), found, "No changes."))


MAGIC = Magic(
    name="rollback",
    summary="Go back to what an endpoint was before its last change; a second time takes the first one back.",
    options=(
        ENDPOINT_NAME,
        Option("to", "entry of the history, see %mlj history", kind="integer", metavar="NUMBER", minimum=1),
        DRY_RUN,
        CODE,
        JSON,
        QUIET,
    ),
    example="%rollback diabetes --dry-run\n%rollback diabetes\n%rollback diabetes --to 3",
    run=run,
)
# `%history` is IPython's own.
HISTORY = Magic(
    name="history",
    summary="Show who changed an endpoint, when, and what; the newest change first.",
    options=(ENDPOINT_NAME, JSON, OUTPUT),
    example="%mlj history diabetes",
    run=run_history,
)
