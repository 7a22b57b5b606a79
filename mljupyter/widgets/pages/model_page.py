"""First page of the deploy wizard: model, scoring script and name."""

from __future__ import annotations

import sys
from typing import Any

from mljupyter.core import InferenceConfig, Model
from mljupyter.core.estimator import is_fitted, looks_like_estimator
from mljupyter.spec import SpecError
from mljupyter.spec.names import ENDPOINT
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.deploy_pages import DraftPage

_ESTIMATOR = "estimator "
_WRITTEN = ""


class ModelPage(DraftPage):
    """Page for model, scoring script and name."""

    name = "Model"
    heading = "What do you want to deploy?"
    about = (
        "A fitted estimator of this notebook, or a registered model and the scoring script that answers with it, under "
        "a name that becomes part of the address."
    )
    asks = ("name", "estimator", "model", "score", "sample", "method")

    def enter(self) -> None:
        """Read the models and scripts of the workspace and the notebook."""
        models = Model.list(self.draft.session.workspace(), latest=True)
        self._models = sorted(models, key=lambda model: model.name)
        self._scripts = [*self.draft.session.scripts().names(), *self._inference_configs()]
        self._estimators = self._fitted()
        typed = self.draft.typed
        if typed.get("estimator") or typed.get("model"):
            return
        if len(self._estimators) == 1 and not self._models:
            typed["estimator"] = next(iter(self._estimators))
        elif len(self._models) == 1 and not self._estimators:
            typed["model"] = self._models[0].name
            if len(self._scripts) == 1:
                typed.setdefault("score", self._scripts[0])

    def fields(self) -> list[Field]:
        """Return the fields for name, model, and script or method."""
        typed = self.draft.typed
        chosen = f"{_ESTIMATOR}{typed['estimator']}" if typed.get("estimator") else typed.get("model")
        offered = [
            *(Choice(f"{_ESTIMATOR}{name}", f"{name}: {kind}, fitted here") for name, kind in self._estimators.items()),
            *(Choice(model.name, f"{model.name} (version {model.version})") for model in self._models),
        ]
        found = [
            {**self.field("name", "Name of the endpoint"), "help": "For example diabetes: letters, digits and '-'."},
            fields.choice(
                "model",
                "Model",
                chosen,
                [Choice("", "no model"), *offered],
                about="An estimator is registered when it is deployed. Registered models have their newest version.",
            ),
        ]
        scripts = [Choice(name, name) for name in self._scripts]
        if typed.get("estimator"):
            first = Choice(_WRITTEN, "written for the estimator")
            about = "The generated script checks the rows of requests and describes them in the OpenAPI document."
        else:
            first = Choice("", "choose one")
            about = "A cell stored by %%score, or a variable with an InferenceConfig."
        found.append(fields.choice("score", "Scoring script", typed.get("score"), [first, *scripts], about=about))
        if typed.get("estimator") and not typed.get("score"):
            method = {**self.field("method", "What it answers with"), "help": "The method that answers a request."}
            about = "Rows of the training data, a variable or expression: they describe the input of requests."
            found += [method, {**self.field("sample", "Sample rows"), "help": about, "placeholder": "X_train[:3]"}]
        return found

    def change(self, key: str, value: Any) -> None:
        """Store a value; an estimator and a registered model exclude each other."""
        typed = self.draft.typed
        if key == "model":
            for other in ("estimator", "model", "sample", "method", "score"):
                typed.pop(other, None)
            if str(value).startswith(_ESTIMATOR):
                typed["estimator"] = str(value).removeprefix(_ESTIMATOR)
                return
            if value and len(self._scripts) == 1:
                typed["score"] = self._scripts[0]
        super().change(key, value)

    def blocked(self) -> str:
        """Return how to begin if there is nothing to deploy."""
        if not self._scripts and not self._estimators and not self._models:
            return (
                "There is nothing to deploy yet: fit an estimator in a cell, or write a scoring script in a cell that "
                "begins with %%score NAME, and run it."
            )
        return ""

    def errors(self) -> dict[str, str]:
        """Check the input, and that there is something to deploy."""
        found = super().errors()
        typed = self.draft.typed
        if "name" not in found:
            try:
                ENDPOINT.check(str(typed.get("name", "")).strip())
            except SpecError as error:
                found["name"] = error.message
        custom = (None, "Custom")
        without_script = {model.name for model in self._models if model.model_framework not in custom}
        if not typed.get("estimator") and not typed.get("score") and typed.get("model") not in without_script:
            found.setdefault("score", "Scoring script kept by %%score: it is needed")
        if "estimator" in found:
            found["model"] = found.pop("estimator")
        return found

    def _inference_configs(self) -> list[str]:
        variables = dict(self.draft.namespace)
        return [name for name, value in variables.items() if name[0] != "_" and isinstance(value, InferenceConfig)]

    def _fitted(self) -> dict[str, str]:
        """Return the fitted estimators among the user's variables, by name, with their kind."""
        if "sklearn" not in sys.modules:
            return {}  # no variable was fitted with it, and its import takes a second

        return {
            name: type(value).__name__
            for name, value in sorted(dict(self.draft.namespace).items())
            if not name.startswith("_") and looks_like_estimator(value) and is_fitted(value)
        }
