"""Wizard that registers a model: a fitted variable, a file or a directory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mljupyter.core import Model
from mljupyter.files import expanded
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.model_sources import ModelSource, files_near, fitted_variables, source_of_path
from mljupyter.registry.catalog.model_record import ModelRecord
from mljupyter.spec import SpecError
from mljupyter.spec.names import MODEL
from mljupyter.widgets import fields
from mljupyter.widgets.fields import Choice, Field
from mljupyter.widgets.pages.endpoint_pages import Action
from mljupyter.widgets.wizard import Page, Wizard

OTHER = "other"
_STATES = {"": "waiting", "running": "running", "ok": "ok", "failed": "failed"}


class SourcePage(Page):
    """Page for the source of the model."""

    name = "What"
    heading = "What do you want to register?"
    about = "A model is a file, a directory, or a fitted variable of this notebook, which is written to a file first."

    def __init__(self, namespace: Mapping[str, Any], path: str = "") -> None:
        self.namespace = namespace
        self._chosen = OTHER if path else ""
        self._path = path
        self._sources: dict[str, ModelSource] = {}

    def enter(self) -> None:
        """Read variables and files."""
        found = [*fitted_variables(self.namespace), *files_near(Path.cwd())]
        self._sources = {f"{source.kind}:{source.name}": source for source in found}
        if self._chosen not in {*self._sources, OTHER}:
            self._chosen = next(iter(self._sources), OTHER)

    @property
    def source(self) -> ModelSource | None:
        """The chosen source; None when it does not exist."""
        if self._chosen != OTHER:
            return self._sources.get(self._chosen)
        try:
            return source_of_path(self._path.strip()) if self._path.strip() else None
        except OSError:
            return None

    def fields(self) -> list[Field]:
        """Return the found sources, and a field for another path."""
        kinds = {"variable": "variable", "path": "file"}
        offered = [
            Choice(key, f"{source.name} ({kinds[source.kind]}, {source.about})")
            for key, source in self._sources.items()
        ]
        found = [
            fields.choice(
                "source",
                "Model",
                self._chosen,
                [*offered, Choice(OTHER, "another file or directory …")],
                about=f"Fitted variables, and files that look like models in {Path.cwd().name or '/'}.",
            )
        ]
        if self._chosen == OTHER:
            about = "As in code: relative to the notebook, or absolute."
            found.append(fields.text("path", "Path", self._path, about=about, placeholder="models/churn.pkl"))
        return found

    def change(self, key: str, value: Any) -> None:
        """Set the choice, or the path."""
        if key == "source":
            self._chosen = str(value)
        else:
            self._path = str(value)

    def errors(self) -> dict[str, str]:
        """Refuse a source that does not exist."""
        if self.source is not None:
            return {}
        if self._chosen != OTHER:
            return {"source": "It no longer exists: choose again."}
        text = self._path.strip()
        return {"path": f"There is no file or directory {text!r}." if text else "Which file or directory?"}


class DescriptionPage(Page):
    """Page for name, framework, tags and description."""

    name = "Name"
    heading = "Under which name?"

    def __init__(self, session: Session, what: SourcePage) -> None:
        self.session = session
        self._what = what
        self._typed: dict[str, str] = {}

    def enter(self) -> None:
        """Read the existing models."""
        workspace = self.session.existing()
        models = [] if workspace is None else workspace.registry.models.list(latest=True)
        self._newest = {model.name: model.version for model in models}

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return a sentence about the version number."""
        version = self._newest.get(self.model_name)
        if version is None:
            return "A new name: this will be version 1."
        return f"{self.model_name!r} has {version} {'version' if version == 1 else 'versions'}: this will be the next."

    @property
    def model_name(self) -> str:
        """The name."""
        source = self._what.source
        return self._typed.get("name", source.model_name if source else "").strip()

    @property
    def framework(self) -> str:
        """The framework: the chosen one, or that of the source."""
        source = self._what.source
        return self._typed.get("framework") or (source.framework if source else "Custom")

    @property
    def tags(self) -> dict[str, str]:
        """The tags; raises ValueError for an invalid tag."""
        found = {}
        for part in filter(None, (part.strip() for part in self._typed.get("tags", "").split(","))):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not key or not equals:
                raise ValueError(f"{part!r} is not a tag: write KEY=VALUE, for example area=demo, with commas between.")
            found[key] = value
        return found

    @property
    def description(self) -> str:
        """Free text."""
        return self._typed.get("description", "").strip()

    def fields(self) -> list[Field]:
        """Return name, framework, tags and description."""
        names = [value for key, value in vars(Model.Framework).items() if key.isupper()]
        frameworks = [Choice(name, name) for name in names]
        return [
            fields.text("name", "Name", self.model_name, about="Letters, digits, '-', '.' and '_'.", required=True),
            fields.choice("framework", "Framework", self.framework, frameworks, about="The framework of the model."),
            fields.text(
                "tags", "Tags", self._typed.get("tags"), about="Tags help to find the model.", placeholder="area=demo"
            ),
            fields.text("description", "Description", self._typed.get("description"), about="Free text."),
        ]

    def change(self, key: str, value: Any) -> None:
        """Store the input."""
        self._typed[key] = str(value)

    def errors(self) -> dict[str, str]:
        """Check name and tags."""
        found = {}
        try:
            MODEL.check(self.model_name)
        except SpecError as error:
            found["name"] = error.message
        try:
            self.tags  # noqa: B018 - reading is checking
        except ValueError as error:
            found["tags"] = str(error)
        return found


class RegisterPage(Page):
    """Page with the code, and its execution."""

    name = "Register"
    heading = "Is this what you want?"
    next_label = ""

    def __init__(self, what: SourcePage, described: DescriptionPage) -> None:
        self._what = what
        self._described = described

    def enter(self) -> None:
        """Start again."""
        self._action = Action(self.refresh)
        self._record: ModelRecord | None = None

    @property
    def about(self) -> str:  # type: ignore[override]
        """Return that nothing has been done, until it is."""
        so_far = "" if self._action.state else "Nothing has been done so far. "
        return f"{so_far}The code below does the same in every notebook: insert it, and keep it."

    @property
    def code(self) -> str:
        """The Python code that registers it."""
        source, described = self._what.source, self._described
        assert source is not None  # noqa: S101 - the first page leads on only with one
        path = f"{described.model_name}.joblib" if source.kind == "variable" else source.name
        lines = ["from mljupyter.core import Model, Workspace", ""]
        if source.kind == "variable":
            lines = ["import joblib", *lines, f"joblib.dump({source.name}, {path!r})"]
        workspace = described.session.workspace_name()
        arguments = [f"Workspace.get({workspace!r})", repr(path), repr(described.model_name)]
        arguments += [f"model_framework={described.framework!r}"] if described.framework != "Custom" else []
        arguments += [f"tags={described.tags!r}"] if described.tags else []
        arguments += [f"description={described.description!r}"] if described.description else []
        return "\n".join([*lines, f"model = Model.register({', '.join(arguments)})"])

    def fields(self) -> list[Field]:
        """Return code, progress and the next step."""
        found = [fields.code("code", "Equivalent Python code", self.code)]
        if self._action.state:
            said = self._record.id if self._record is not None else ""
            found.append(fields.stages("stages", "Progress", [("register", _STATES[self._action.state], said)]))
        if self._action.problem:
            found.append(fields.code("problem", "What went wrong", self._action.problem))
        if self._record is not None:
            found.append(fields.code("use", "Deploy it", f"%deploy NAME --model {self._record.name} --score SCRIPT"))
        return found

    def buttons(self) -> list[dict[str, Any]]:
        """Return the buttons that insert the code and register the model."""
        state = self._action.state
        reason = {
            "running": "It is being registered.",
            "ok": "It is registered. Registering it again would create another version.",
        }
        return [
            {"key": "insert", "label": "Insert the code below", "inserts": [self.code]},
            {"key": "register", "label": "Register now", "primary": True, "reason": reason.get(state, "")},
        ]

    def press(self, button: str) -> None:
        """Register."""
        if button == "register" and self._action.state != "ok":
            self._action.start(self._register)

    def _register(self) -> None:
        source, described = self._what.source, self._described
        if source is None:
            raise FileNotFoundError("The file or variable that was chosen no longer exists: go back and choose again.")
        with tempfile.TemporaryDirectory(prefix="mljupyter-model-") as directory:
            path = expanded(source.name)
            if source.kind == "variable":
                import joblib

                path = Path(directory) / f"{described.model_name}.joblib"
                joblib.dump(self._what.namespace[source.name], path)
            self._record = described.session.workspace().registry.models.register(
                described.model_name,
                path,
                framework=None if described.framework == "Custom" else described.framework,
                tags=described.tags,
                description=described.description or None,
            )
        described.session.cache.refresh_soon()


class RegisterWizard(Wizard):
    """Wizard that registers a model, or generates the code for it.

    Parameters:
        session: has the current workspace.
        namespace: the user's variables.
        path: the file or directory that is chosen at first; empty for a variable or a file that is found.

    """

    def __init__(self, session: Session, namespace: Mapping[str, Any], path: str = "") -> None:
        what = SourcePage(namespace, path)
        described = DescriptionPage(session, what)
        super().__init__("Register a model", [what, described, RegisterPage(what, described)], "%mlj register")
