"""The deploy wizard: from a model to a live endpoint, or to the line of `%deploy` that makes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mljupyter.frontend.defaults import project_defaults
from mljupyter.frontend.deployment_options import DEPLOYMENT_OPTIONS
from mljupyter.frontend.line import typed_of
from mljupyter.widgets.access_page import AccessPage
from mljupyter.widgets.deploy_pages import Draft
from mljupyter.widgets.model_page import ModelPage
from mljupyter.widgets.progress_page import ProgressPage
from mljupyter.widgets.review_page import ReviewPage
from mljupyter.widgets.size_page import SizePage
from mljupyter.widgets.target_page import TargetPage
from mljupyter.widgets.traffic_page import TrafficPage
from mljupyter.widgets.wizard import Wizard

if TYPE_CHECKING:
    from mljupyter.frontend.session import Session


class DeployWizard(Wizard):
    """Asks what `%deploy` takes, page by page.

    Parameters:
        session: knows the workspace in use.
        namespace: the user's variables.
        typed: what is known already, by option of `DEPLOYMENT_OPTIONS`.

    """

    def __init__(self, session: Session, namespace: Mapping[str, Any], typed: Mapping[str, Any] | None = None) -> None:
        project = project_defaults("deploy", DEPLOYMENT_OPTIONS)
        usual = {key: typed_of(value) for key, value in project.items()}
        draft = Draft(session, namespace, {**usual, **(typed or {})}, frozenset(project))
        review = ReviewPage(draft)
        asking = [ModelPage, TargetPage, SizePage, AccessPage, TrafficPage]
        pages = [*(page(draft) for page in asking), review, ProgressPage(review)]
        super().__init__("Deploy a model", pages, reopen="%deploy")
