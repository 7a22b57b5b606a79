"""``%mlj try``: a form made from the description of an endpoint's API, which sends one request."""

from __future__ import annotations

from typing import Any

from mljupyter.engine.requests.form import form_of
from mljupyter.magics.commands.endpoints import version_of, webservice
from mljupyter.magics.magic import Call
from mljupyter.notebook.options.command_line import quoted
from mljupyter.notebook.views.views import Text


def run(call: Call) -> Any:
    """Return the form; where there are no widgets, the line that sends the example."""
    service = webservice(call.session.workspace(), call.endpoint)
    asked = service if call.version is None else version_of(service, call.version)
    description = service.get_swagger()
    if call.has_widgets:
        from mljupyter.widgets.wizards.try_form import TryForm  # slow import; only if a widget is shown

        return TryForm(call["name"], asked, description)
    body, _ = form_of(description).body({})
    return Text(f"%invoke {call['name']} {quoted(body)}")
