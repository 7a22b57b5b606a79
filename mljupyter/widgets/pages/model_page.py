"""First page of the deploy wizard: model, scoring script and name."""

from __future__ import annotations

from typing import Any

from mljupyter.core import InferenceConfig, Model
from mljupyter.core.estimator import METHODS
from mljupyter.engine.endpoints.proposed_name import proposed_name
from mljupyter.notebook.fitted import fitted_estimators
from mljupyter.notebook.option_problems import estimator_problems
from mljupyter.notebook.options.command_line import values_of
from mljupyter.spec import SpecError
from mljupyter.spec.names import ENDPOINT
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.deploy_pages import OPTIONS, Draft, DraftPage

_ESTIMATOR = "estimator "
_WRITTEN = ""
_METHOD = "predict"
_CUSTOM = (None, "Custom")
_NO_SCRIPT = "it needs a scoring script: write one in a cell that begins with %%score NAME"


class ModelPage(DraftPage):
    """Page for model, scoring script and name."""

    name = "Model"
    heading = "What do you want to deploy?"
    about = (
        "A fitted estimator of this notebook, or a registered model and the scoring script that answers with it, under "
        "a name that becomes part of the address."
    )
    asks = ("name", "estimator", "model", "score", "sample", "method")

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft)
        self._proposed = ""
        self._problems: dict[str, str] = {}  # of the estimator, its method and its sample, when they were last checked
        self._checked: tuple[Any, ...] = ()

    def enter(self) -> None:
        """Read the models and scripts of the workspace and the notebook; choose the newest estimator at first."""
        workspace = self.draft.session.existing()
        models = [] if workspace is None else Model.list(workspace, latest=True)
        self._models = sorted(models, key=lambda model: model.name)
        self._scripts = [*self.draft.session.script_names(), *self._inference_configs()]
        self._estimators = fitted_estimators(self.draft.namespace)
        self._choose_first()

    def hear_elsewhere(self) -> None:
        """Offer the estimators that a page has told of; one of them is chosen if nothing could be deployed before."""
        self._problems = {}  # they may be about an estimator that this process does not have
        if not (self._estimators or self._models or self._scripts):
            self._choose_first()

    def _choose_first(self) -> None:
        typed = self.draft.typed
        elsewhere = self.draft.elsewhere.found
        if not (typed.get("estimator") or typed.get("model")):
            if (self._estimators or elsewhere) and not typed.get("score"):
                typed["estimator"] = next(iter([*elsewhere, *self._estimators]))
            elif len(self._models) == 1 and not self._lacks_script(self._models[0]):
                typed["model"] = self._models[0].name
            if not self._estimators and len(self._scripts) == 1:
                typed.setdefault("score", self._scripts[0])
        self._propose()

    def fields(self) -> list[Field]:
        """Return the fields for name, model, and script or method."""
        typed = self.draft.typed
        about = "An estimator is registered when it is deployed. Registered models have their newest version."
        found = [
            {**self.field("name", "Name of the endpoint"), "help": self._about_name()},
            fields.choice("model", "Model", self._chosen, self._offered_models(), about=self.draft.lost or about),
        ]
        if typed.get("estimator"):
            first = Choice(_WRITTEN, "generated for the estimator")
            about = "The generated script checks the rows of requests and describes them in the OpenAPI document."
        elif self._is_served_by_framework:
            first = Choice("", "none: its framework serves the model")
            about = "A cell stored by %%score, or a variable with an InferenceConfig, can take its place."
        else:
            first = Choice("", "choose one")
            about = "A cell stored by %%score, or a variable with an InferenceConfig."
        scripts = [first, *(Choice(name, name) for name in self._scripts)]
        found.append(
            fields.choice(
                "score", "Scoring script", typed.get("score"), _with(typed.get("score"), scripts), about=about
            )
        )
        if typed.get("estimator") and not typed.get("score"):
            about = "Rows of the training data, a variable or expression: they describe the input of requests."
            found += [
                fields.choice("method", "Method", typed.get("method"), self._methods(), about="It answers a request."),
                {**self.field("sample", "Sample rows"), "help": about, "placeholder": "X_train[:3]"},
            ]
        return found

    def change(self, key: str, value: Any) -> None:
        """Store a value; an estimator and a registered model exclude each other."""
        typed = self.draft.typed
        if key == "model":
            for other in ("estimator", "model", "sample", "method", "score"):
                typed.pop(other, None)
            if str(value).startswith(_ESTIMATOR):
                typed["estimator"] = str(value).removeprefix(_ESTIMATOR)
            else:
                if len(self._scripts) == 1:
                    typed["score"] = self._scripts[0]
                super().change(key, value)
            self._propose()
            return
        super().change(key, value)

    def check_again(self) -> None:
        """Check the estimator, its method and its sample; their expressions are evaluated only here."""
        values, _ = values_of([OPTIONS[key] for key in self.asks], self.draft.typed)
        self._problems = {} if self.draft.is_elsewhere else estimator_problems(values, self.draft.namespace)
        self._checked = self._typed_estimator()

    def blocked(self) -> str:
        """Return how to begin if there is nothing to deploy."""
        if not (self._scripts or self._estimators or self._models or self.draft.elsewhere.found):
            return (
                "There is nothing to deploy yet: fit an estimator in a cell, or write a scoring script in a cell that "
                "begins with %%score NAME, and run it."
            )
        return ""

    def errors(self) -> dict[str, str]:
        """Check the input, and that there is something to deploy."""
        problems = self._problems if self._checked == self._typed_estimator() else {}
        found = {**problems, **super().errors(), **({"model": self.draft.lost} if self.draft.lost else {})}
        typed = self.draft.typed
        if "name" not in found:
            try:
                ENDPOINT.check(str(typed.get("name", "")).strip())
            except SpecError as error:
                found["name"] = error.message
        if not typed.get("estimator") and not typed.get("score") and not self._is_served_by_framework:
            about = "Choose the scoring script that answers requests" if self._scripts else _NO_SCRIPT
            found.setdefault("score", about)
        if "estimator" in found:
            found["model"] = found.pop("estimator")
        return found

    @property
    def _chosen(self) -> str:
        typed = self.draft.typed
        return f"{_ESTIMATOR}{typed['estimator']}" if typed.get("estimator") else str(typed.get("model") or "")

    @property
    def _is_served_by_framework(self) -> bool:
        chosen = str(self.draft.typed.get("model") or "")
        name, _, version = chosen.partition(":")
        found = [model for model in self._models if model.name == name]
        if version and found and found[0].id != chosen:  # an older version, of which the framework may be another
            found = [model for model in Model.list(self.draft.session.workspace(), name=name) if model.id == chosen]
        return any(model.model_framework not in _CUSTOM for model in found)

    def _offered_models(self) -> list[Choice]:
        """Return the estimators, the models, and none; what cannot be served has a reason."""
        estimators = [
            Choice(f"{_ESTIMATOR}{name}", f"{name}: {one.kind}, fitted in {one.place}")
            for name, one in self.draft.elsewhere.found.items()
        ]
        estimators += [
            Choice(f"{_ESTIMATOR}{name}", f"{name}: {kind}, fitted here") for name, kind in self._estimators.items()
        ]
        models = [
            Choice(
                model.name,
                f"{model.name} (version {model.version})",
                reason=_NO_SCRIPT if self._lacks_script(model) else "",
            )
            for model in self._models
        ]
        none = Choice("", "no model: a script alone", reason="" if self._scripts else _NO_SCRIPT)
        chosen = self._chosen
        return _with(chosen, [*estimators, *models, none], chosen.removeprefix(_ESTIMATOR))

    def _methods(self) -> list[Choice]:
        """Return the methods; one that the estimator does not have cannot be chosen."""
        estimator = dict(self.draft.namespace).get(self.draft.typed["estimator"])
        lacks = f"{type(estimator).__name__} does not have it"
        offered = [
            Choice(name, name, reason="" if estimator is None or hasattr(estimator, name) else lacks)
            for name in METHODS
            if name != _METHOD
        ]
        return [Choice("", _METHOD), *_with(self.draft.typed.get("method"), offered)]

    def _lacks_script(self, model: Model) -> bool:
        return model.model_framework in _CUSTOM and not self._scripts

    def _propose(self) -> None:
        """Propose a name for the endpoint, until somebody types one."""
        typed = self.draft.typed
        wish = typed.get("estimator") or typed.get("model") or typed.get("score")
        if wish and str(typed.get("name") or "").strip() in ("", self._proposed):
            taken = set(self.draft.session.names("endpoint"))
            self._proposed = typed["name"] = proposed_name(str(wish).partition(":")[0], taken)

    def _about_name(self) -> str:
        name = str(self.draft.typed.get("name") or "").strip()
        if name in self.draft.session.names("endpoint"):
            return f"{name!r} exists: it is updated, and keeps its address. Another name makes a new endpoint."
        return "3 to 32 lower-case letters, digits and '-'. It becomes part of the address."

    def _typed_estimator(self) -> tuple[Any, ...]:
        return tuple(self.draft.typed.get(key) for key in ("estimator", "method", "sample", "score"))

    def _inference_configs(self) -> list[str]:
        variables = dict(self.draft.namespace)
        return [name for name, value in variables.items() if name[0] != "_" and isinstance(value, InferenceConfig)]


def _with(chosen: Any, offered: list[Choice], label: str = "") -> list[Choice]:
    """Return what is offered, and first what was chosen in another way, such as an expression or a file."""
    if not chosen or any(choice.value == chosen for choice in offered):
        return offered
    return [Choice(str(chosen), label or str(chosen)), *offered]
