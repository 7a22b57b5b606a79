"""Page of the deploy wizard that shows the progress until the endpoint is ready."""

from __future__ import annotations

import threading
from typing import Any

from mljupyter.core import Webservice
from mljupyter.engine.endpoints.client_snippets import ClientSnippets, client_snippets
from mljupyter.engine.requests.encoder import is_table
from mljupyter.errors import MLJupyterError
from mljupyter.notebook.options.command_line import quoted
from mljupyter.notebook.options.expression_text import expression_word
from mljupyter.notebook.sources.expressions import value_of
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Field
from mljupyter.widgets.pages.deploy_job import START, DeploymentRun
from mljupyter.widgets.pages.review_page import ReviewPage
from mljupyter.widgets.wizard import Page

_TICK_SECONDS = 1.0
_HEADINGS = {
    "": "Deployment in progress",
    "succeeded": "Endpoint is ready",
    "failed": "Deployment failed",
    "cancelled": "Cancelled",
}


class ProgressPage(Page):
    """Page with the stages and their times, the log, and the result."""

    name = "Progress"
    starts = True

    def __init__(self, review: ReviewPage) -> None:
        self._review = review
        self.run: DeploymentRun | None = None
        self._snippets: ClientSnippets | None = None
        self._over = threading.Event()

    @property
    def heading(self) -> str:  # type: ignore[override]
        """The state of the deployment."""
        return _HEADINGS[self.run.outcome if self.run is not None else ""]

    @property
    def about(self) -> str:  # type: ignore[override]
        """The meaning of that state."""
        run = self.run
        if run is None:
            return ""
        if run.outcome == "succeeded":
            return "It keeps serving when the kernel restarts and when the notebook is closed."
        if run.outcome == "cancelled":
            return f"{run.problem}  Back keeps your input."
        if run.outcome == "failed":
            return "Back keeps your input: correct it, and deploy again."
        return "It continues when you close the page of this notebook; the endpoint does not need the notebook."

    def enter(self) -> None:
        """Start the deployment on its own thread, so that the wizard stays responsive."""
        deployment = self._review.deployment
        if deployment is None:
            return  # the previous page continues only with a plan
        deployed = self._review.draft.session.deployed
        self.run = DeploymentRun(deployment, self.refresh, deployed, plan=self._review.plan)
        self._snippets = None
        self._over.clear()
        self.run.start()
        threading.Thread(target=self._tick, args=(self.run,), name="mljupyter clock", daemon=True).start()

    def fields(self) -> list[Field]:
        """Return stages, error, end of the log, and an example of a call."""
        run = self.run
        if run is None:
            return []
        found = [fields.stages("stages", "Stages", [stage.row() for stage in run.stages])]
        if run.outcome == "failed":
            at = f" at the step {run.failed_at!r}" if run.failed_at else ""
            found.append(fields.code("problem", f"What went wrong{at}", run.problem))
        if run.outcome == "succeeded" and run.service is not None:
            found.append(fields.summary("address", "Address", [("Scoring URI", str(run.service.scoring_uri))]))
            self._snippets = self._snippets or self._read_snippets(run.service)
            found += self._clients(self._call(run), self._snippets)
        if run.lines:
            found.append(fields.log("log", _log_label(run), list(run.lines)))
        return found

    def moving(self) -> bool:
        """Whether the deployment is running; then Cancel replaces Back."""
        return self.run is not None and not self.run.outcome

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that cancels it, or afterwards the one that inserts a call."""
        run = self.run
        if run is None:
            return []
        if not run.outcome:
            reason = "It is being stopped: the deployment is undone." if run.cancelling else ""
            return [{"key": "cancel", "label": "Cancel the deployment", "reason": reason}]
        if run.outcome == "succeeded" and run.service is not None:
            return [{"key": "insert", "label": "Insert a call below", "inserts": self._cells(run)}]
        return []

    def press(self, button: str) -> None:
        """Stop the deployment."""
        if button == "cancel" and self.run is not None:
            self.run.cancel()

    def close(self) -> None:
        """Close the page; the deployment continues."""
        self._over.set()

    def _clients(self, call: str, snippets: ClientSnippets) -> list[Field]:
        """Return how the endpoint is called: from here, and by other programs, which read the key from a variable."""
        found = [fields.code("use", "From this notebook", call), fields.code("uri", "Scoring URI", snippets.uri)]
        if snippets.key_hint:
            found.append(fields.code("key", "Put the key into a variable, in a shell", snippets.key_hint))
        if snippets.request_hint:
            title = "Write the example of its API into a file, in a shell"
            found.append(fields.code("example", title, snippets.request_hint))
        return [
            *found,
            fields.code("curl", "With curl, in a shell", snippets.curl),
            fields.code("client", "In Python, in another program", snippets.python, folded=True),
        ]

    def _read_snippets(self, service: Webservice) -> ClientSnippets:
        try:
            return service.client_snippets(self._sample())
        except MLJupyterError:  # the sample is no request, or the certificates cannot be read
            spec = service.record.spec
            return client_snippets(str(service.scoring_uri), spec.authentication, service.name)

    def _sample(self) -> Any:
        """Return a request with the first row of the sample; None without a sample."""
        draft = self._review.draft
        text = str(draft.typed.get("sample") or "")
        if not text:
            return None
        try:
            rows = value_of(text, draft.namespace)
            return rows[:1] if is_table(rows) else {"data": list(rows)[:1]}
        except (MLJupyterError, KeyError, TypeError, ValueError):
            return None

    def _call(self, run: DeploymentRun) -> str:
        sample = str(self._review.draft.typed.get("sample") or "DATA")
        return f"%invoke {run.deployment.name} {expression_word(sample) or quoted(sample)}"

    def _cells(self, run: DeploymentRun) -> list[str]:
        """Return the cells of the deployment and of the call: the notebook must run from the top on another machine."""
        call = self._call(run)
        if not self._review.draft.typed.get("sample"):
            call = f"# Replace DATA by a variable, JSON or a file, then remove the marks.\n# {call}"
        return [self._review.line, call]

    def _tick(self, run: DeploymentRun) -> None:
        """Update the times on the page."""
        while not run.wait(_TICK_SECONDS) and not self._over.is_set():
            self.refresh()
        self._review.draft.session.cache.refresh_soon()
        self.refresh()


def _log_label(run: DeploymentRun) -> str:
    started = any(stage.name == START and stage.began is not None for stage in run.stages)
    return "Log of the replicas" if started else "Log of the build"
