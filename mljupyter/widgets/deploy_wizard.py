"""The deploy wizard: from a model to a live endpoint, or to the line of `%deploy` that makes one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.errors import MLJupyterError
from mljupyter.frontend.defaults import project_defaults
from mljupyter.frontend.deployment import deployment_of
from mljupyter.frontend.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.frontend.line import line_of, values_of
from mljupyter.widgets import fields
from mljupyter.widgets.deploy_pages import AccessPage, Draft, DraftPage, SizePage, TargetPage, TrafficPage
from mljupyter.widgets.fields import Field
from mljupyter.widgets.model_page import ModelPage
from mljupyter.widgets.wizard import Page, Wizard

if TYPE_CHECKING:
    from mljupyter.core import Webservice
    from mljupyter.frontend.plan import Deployment, Plan
    from mljupyter.frontend.session import Session

_LOOKS_PER_SECOND = 2


class ReviewPage(DraftPage):
    """What would happen, as plan, line and Python; nothing has been done so far."""

    name = "Review"
    heading = "Is this what you want?"
    about = "Nothing has been done so far. The line below does the same in every notebook: insert it, and keep it."
    next_label = "Deploy now"
    asks = ()

    def enter(self) -> None:
        """Work the plan out."""
        self._plan: Plan | None = None
        self._problem = ""
        self.deployment: Deployment | None = None
        values, errors = values_of(DEPLOYMENT_OPTIONS, self.draft.typed)
        if errors:
            self._problem = "\n".join(f"{key}: {text}" for key, text in errors.items())
            return
        try:
            self.deployment = deployment_of(self.draft.session, self.draft.namespace, values)
            self._plan = self.deployment.plan()
        except MLJupyterError as error:
            self._problem = str(error)

    @property
    def line(self) -> str:
        """The line of `%deploy` that says all of it."""
        return line_of("deploy", DEPLOYMENT_OPTIONS, self.draft.typed, explicit=self.draft.project)

    def fields(self) -> list[Field]:
        """Return the plan, the line, the Python and the specification."""
        shown = [fields.code("line", "The line that does it", self.line)]
        if self._plan is None or self.deployment is None:
            return [fields.code("problem", "What is in the way", self._problem), *shown]
        import yaml

        document = yaml.safe_dump(self._plan.wanted.document(), sort_keys=False)
        before = f" (it is {self._plan.settled_as} now)" if self._plan.settled_as else ""
        what = {
            "create": "A new endpoint is made.",
            "update": f"The endpoint is changed{before}.",
            "unchanged": "Nothing changes.",
        }
        changes = [[path, _short(old), _short(new)] for path, old, new in self._plan.changes]
        plan = fields.table("plan", what[self._plan.action], ["Field", "Now", "Then"], changes) if changes else None
        return [
            plan or fields.code("plan", what[self._plan.action], self._plan.text()),
            *shown,
            fields.code("python", "The same in Python", self.deployment.code(), folded=True),
            fields.code("specification", "The specification", document, folded=True),
        ]

    def blocked(self) -> str:
        """Say that something is in the way."""
        return "Go back and change what is in the way." if self._problem else ""

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that inserts the line."""
        return [{"key": "insert", "label": "Insert the line below", "inserts": self.line}]


class ProgressPage(Page):
    """What is going on, until the endpoint is there."""

    name = "Progress"
    heading = "On its way"

    def __init__(self, review: ReviewPage) -> None:
        self._review = review
        self._service: Webservice | None = None
        self._problem = ""
        self._log = ""
        self._stopped = threading.Event()
        self.changed: Callable[[], None] = _nothing

    def enter(self) -> None:
        """Start the deployment on a thread of its own: the wizard goes on to answer."""
        self._service, self._problem, self._log = None, "", ""
        self._stopped.clear()
        threading.Thread(target=self._deploy, name="mljupyter deployment", daemon=True).start()

    def fields(self) -> list[Field]:
        """Return the stages, the last lines of the log, and what came of it."""
        found = [fields.stages("stages", "Stages", self._stages())]
        if self._problem:
            found.append(fields.code("problem", "What went wrong", self._problem))
        if self._log:
            found.append(fields.code("log", "The last lines of its log", self._log))
        if self._state == "Healthy" and self._service is not None:
            found.append(
                fields.code("use", "Use it", f"%invoke {self._service.name} DATA\n{self._service.scoring_uri}")
            )
        return found

    def buttons(self) -> list[dict[str, Any]]:
        """Return the button that stops it while it is under way."""
        over = self._problem or self._state in ("Healthy", "Failed")
        return [] if over else [{"key": "cancel", "label": "Cancel the deployment"}]

    def press(self, button: str) -> None:
        """Take a deployment that is under way back."""
        self._stopped.set()
        if self._service is not None:
            self._service.delete()
            self._problem = f"{self._service.name!r} was cancelled and taken away."

    @property
    def _state(self) -> str:
        return str(self._service.state) if self._service is not None else ""

    def _stages(self) -> list[tuple[str, str, str]]:
        handed = "failed" if self._problem and self._service is None else "ok" if self._service else "running"
        if self._service is None:
            started, ready = "waiting", "waiting"
        else:
            states = {"Healthy": ("ok", "ok"), "Failed": ("failed", "skipped")}
            started, ready = states.get(self._state, ("running", "waiting"))
        return [("hand over", handed, ""), ("start replicas", started, ""), ("answer requests", ready, "")]

    def _deploy(self) -> None:
        deployment = self._review.deployment
        if deployment is None:
            return  # the page before leads here only with a plan
        try:
            self._service = deployment.deploy(deployment.plan())
            self.changed()
            while not self._stopped.wait(1 / _LOOKS_PER_SECOND):
                self._service.update_deployment_state()
                self._log = "\n".join(self._service.get_logs(num_lines=12).splitlines()[-12:])
                if self._state in ("Healthy", "Failed"):
                    break
                self.changed()
            if self._state == "Failed":
                self._problem = str(self._service.error)
        except MLJupyterError as error:
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 (shown to the person who waits)
            self._problem = f"{type(error).__name__}: {error}"
        self._review.draft.session.cache.refresh_soon()
        self.changed()


class DeployWizard(Wizard):
    """Asks what `%deploy` takes, page by page.

    Parameters:
        session: knows the workspace in use.
        namespace: the user's variables.
        typed: what is known already, by option of `DEPLOYMENT_OPTIONS`.

    """

    def __init__(self, session: Session, namespace: Mapping[str, Any], typed: Mapping[str, Any] | None = None) -> None:
        project = project_defaults("deploy", DEPLOYMENT_OPTIONS)
        texts = {key: value if isinstance(value, (bool, list)) else str(value) for key, value in project.items()}
        draft = Draft(session, namespace, {**texts, **(typed or {})}, frozenset(project))
        review = ReviewPage(draft)
        progress = ProgressPage(review)
        asking = [ModelPage, TargetPage, SizePage, AccessPage, TrafficPage]
        super().__init__("Deploy a model", [*(page(draft) for page in asking), review, progress])
        progress.changed = self.refresh


def _nothing() -> None:
    pass


def _short(value: Any) -> str:
    text = str(value)
    return text[: len("sha256:") + 12] if text.startswith("sha256:") else text
