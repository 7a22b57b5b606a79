"""``%mlj compare``: compare the versions of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.magics.commands.endpoints import webservice
from mljupyter.magics.magic import Call
from mljupyter.notebook.session import Session
from mljupyter.notebook.views.comparison import COLUMNS, compared
from mljupyter.notebook.views.views import Table


def run(call: Call) -> Any:
    """Return the versions as a table, as a live panel, or as a form that promotes one."""
    workspace = call.session.workspace()
    webservice(workspace, call["name"])  # raises an error with the nearest name
    if call["wizard"]:
        from mljupyter.widgets.wizards.compare_wizard import CompareWizard  # slow import; only if a widget is shown

        return CompareWizard(call.session, call["name"])
    if call["live"] and call.has_widgets:
        from mljupyter.widgets.panels.comparison import Comparison  # slow import; only if a widget is shown

        return Comparison(workspace, call["name"])
    rows = compared(workspace, workspace.endpoints.endpoint(call["name"]))
    data = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return Table(COLUMNS, rows, data, "No versions.")


def wizard(session: Session, namespace: Mapping[str, Any]) -> Any:
    """Return the form that compares versions and promotes one."""
    from mljupyter.widgets.wizards.compare_wizard import CompareWizard  # slow import; only if a widget is shown

    return CompareWizard(session)
