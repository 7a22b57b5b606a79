"""``%rollback`` and ``%mlj history``: what an endpoint was before, and the way back to it."""

from __future__ import annotations

from typing import Any

from mljupyter.frontend.options import ENDPOINT_NAME, JSON, OUTPUT, QUIET, Option
from mljupyter.frontend.views import Table
from mljupyter.magics.call import Call, json_line
from mljupyter.magics.endpoints import webservice
from mljupyter.magics.magic import Magic


def run(call: Call) -> Any:
    """Roll an endpoint back, print what changed, and return nothing."""
    go_back(call, call["to"])


def go_back(call: Call, number: int | None) -> None:
    """Roll the endpoint that a magic names back, and print what changed."""
    from mljupyter.core.releases import history_documents, roll_back

    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # its error has the nearest name
    entry, line = roll_back(workspace, call["name"], number)
    if call["json"]:
        print(json_line(history_documents([entry])[0]))
        return
    for text in (line, *(f"  {change}" for change in entry.changes)):
        call.say(text)


def run_history(call: Call) -> Any:
    """Return the history of an endpoint as a table."""
    from mljupyter.core.releases import HISTORY_COLUMNS, history_documents, history_rows

    service = webservice(call.session.workspace(), call["name"])
    entries = service.history()
    documents = history_documents(entries)
    if call["json"]:
        print(json_line(documents))
        return call.deliver(documents) if call["output"] else None
    return call.deliver(Table(HISTORY_COLUMNS, history_rows(entries), documents, "No changes."))


MAGIC = Magic(
    name="rollback",
    summary="Go back to what an endpoint was before its last change; a second time takes the first one back.",
    options=(
        ENDPOINT_NAME,
        Option("to", "entry of the history, see %mlj history", kind="integer", metavar="NUMBER", minimum=1),
        JSON,
        QUIET,
    ),
    example="%rollback diabetes\n%rollback diabetes --to 3",
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
