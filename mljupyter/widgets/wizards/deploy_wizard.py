"""Deploy wizard: deploys a model, or generates the equivalent line of `%deploy`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.notebook.options.command_line import typed_of
from mljupyter.notebook.options.defaults import project_defaults
from mljupyter.notebook.options.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.notebook.session import Session
from mljupyter.widgets.pages.access_page import AccessPage
from mljupyter.widgets.pages.deploy_pages import Draft
from mljupyter.widgets.pages.model_page import ModelPage
from mljupyter.widgets.pages.progress_page import ProgressPage
from mljupyter.widgets.pages.review_page import ReviewPage
from mljupyter.widgets.pages.size_page import SizePage
from mljupyter.widgets.pages.target_page import TargetPage
from mljupyter.widgets.pages.traffic_page import TrafficPage
from mljupyter.widgets.wizard import Wizard


class DeployWizard(Wizard):
    """Wizard for the options of `%deploy`.

    Parameters:
        session: has the current workspace.
        namespace: the user's variables.
        typed: initial values by option of `DEPLOYMENT_OPTIONS`.

    """

    def __init__(self, session: Session, namespace: Mapping[str, Any], typed: Mapping[str, Any] | None = None) -> None:
        project = project_defaults("deploy", DEPLOYMENT_OPTIONS)
        usual = {key: typed_of(value) for key, value in project.items()}
        draft = Draft(session, namespace, {**usual, **(typed or {})}, frozenset(project))
        review = ReviewPage(draft)
        self._model_page = ModelPage(draft)
        asking = [TargetPage, SizePage, AccessPage, TrafficPage]
        pages = [self._model_page, *(page(draft) for page in asking), review, ProgressPage(review)]
        self._elsewhere = draft.elsewhere
        super().__init__("Deploy a model", pages, reopen="%deploy")

    def _received(self, _: Any, message: Any, buffers: Any) -> None:
        """Take what a page tells of the kernel of a notebook, as well as changes and presses."""
        if isinstance(message, dict) and message.get("kind") == "fitted":
            self._worker.put(lambda: self._hear(message))
        else:
            super()._received(_, message, buffers)

    def _hear(self, message: dict[str, Any]) -> None:
        self._elsewhere.hear(message.get("place"), message.get("estimators"))
        self._model_page.hear_elsewhere()
        self._show()
