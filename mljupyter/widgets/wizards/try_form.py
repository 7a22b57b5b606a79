"""Form that tries an endpoint: fields from the description of its API, the answer and its latency."""

from __future__ import annotations

import json
import time
from typing import Any

from mljupyter.core import Webservice
from mljupyter.core.webservice.aks_endpoint import AksEndpointVersion
from mljupyter.engine.requests.form import FormField, RequestForm, form_of
from mljupyter.exceptions import WebserviceException
from mljupyter.notebook.options.command_line import quoted
from mljupyter.notebook.request_failures import InvokeError, request_failure
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.endpoint_pages import Action
from mljupyter.widgets.wizard import Page, Wizard

_MOST_ANSWER = 20_000


class TryPage(Page):
    """Page with the fields of a request, its answer and its latency."""

    name = "Try it"
    next_label = ""

    def __init__(self, name: str, service: Webservice | AksEndpointVersion, form: RequestForm) -> None:
        self.heading = f"Send a request to {name}"
        self.about = "The fields have the values of the example in the description of its API."
        self._name = name
        self._service = service
        self._form = form
        self._typed: dict[str, str] = {field.key: field.value for field in form.fields}
        self._problems: dict[str, str] = {}
        self._answer = ""
        self._milliseconds = 0.0
        self._action = Action(lambda: self.refresh())

    def fields(self) -> list[Field]:
        """Return the fields of the request, then the answer."""
        found = [self._field(field) for field in self._form.fields]
        if self._problems:
            found.append(fields.summary("problems", "Problems to fix", self._problems.items()))
            return found
        if self._action.state == "failed":
            found.append(fields.code("problem", "The request has failed", self._action.problem))
        if self._action.state == "ok":
            found.append(fields.summary("latency", "Latency", [("Answered in", f"{self._milliseconds:.1f} ms")]))
            found.append(fields.code("answer", "Answer", self._answer))
        body, errors = self._form.body(self._typed)
        if not errors:
            found.append(fields.code("line", "Equivalent magic", f"%invoke {self._name} {quoted(body)}", folded=True))
        return found

    def change(self, key: str, value: Any) -> None:
        """Set a value of the request."""
        self._typed[key] = str(value)
        if self._problems:
            self._problems = self._form.body(self._typed)[1]

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that sends the request."""
        waits = "The answer is awaited." if self._action.state == "running" else ""
        return [{"key": "send", "label": "Send", "primary": True, "reason": waits}]

    def press(self, button: str) -> None:
        """Send the request on a thread of its own, unless a value is wrong."""
        if button != "send":
            return
        body, self._problems = self._form.body(self._typed)
        if not self._problems:
            self._action.start(lambda: self._send(body))

    def _send(self, body: str) -> None:
        began = time.perf_counter()
        try:
            answer = self._service.run(body)
        except WebserviceException as error:
            raise InvokeError(request_failure(self._service, error)) from error
        self._milliseconds = (time.perf_counter() - began) * 1000
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False, indent=1)
        self._answer = text if len(text) <= _MOST_ANSWER else f"{text[:_MOST_ANSWER]}…"

    def _field(self, field: FormField) -> Field:
        value = self._typed[field.key]
        if field.kind == "boolean":
            return fields.choice(field.key, field.label, value, [Choice("true", "true"), Choice("false", "false")])
        return fields.text(field.key, field.label, value)


class TryForm(Wizard):
    """The form that tries an endpoint.

    Parameters:
        name: the name of the endpoint, or ``NAME:VERSION``.
        service: the endpoint, or that version.
        description: the description of its API.

    """

    def __init__(self, name: str, service: Webservice | AksEndpointVersion, description: dict[str, Any]) -> None:
        super().__init__("Try it", [TryPage(name, service, form_of(description))], reopen=f"%mlj try {name}")
