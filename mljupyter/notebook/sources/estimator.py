"""Deployment of an estimator of the notebook: the preview of what will be generated, then the registration."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mljupyter.core import Environment, InferenceConfig, Model, Workspace
from mljupyter.core.estimator import (
    EXTRA_COLUMNS,
    GENERATED,
    ServingFormat,
    check_estimator,
    planned_model,
    register_estimator,
    scoring_script,
)
from mljupyter.notebook.options.option_values import WrongInputError, source_directory
from mljupyter.notebook.scripts import KeptScripts
from mljupyter.notebook.sources.expressions import value_of, written
from mljupyter.notebook.sources.inference import inference_config, lay_out_source
from mljupyter.spec import ModelReference


@dataclass(frozen=True)
class PlannedEstimator:
    """A fitted estimator with its future model and its scoring script.

    Parameters:
        workspace: the workspace for the model.
        expression: its expression: ``ridge``, ``search.best_estimator_``.
        value: the estimator.
        model_name: the name of the model.
        script: the text of the generated scoring script; None if the user has one.
        script_name: the name under which the script is stored.
        source_directory: the source directory of the script.
        form: how it is saved and called; None for what fits its class.
        sample: the expression for rows of its input, where they are needed to save it; else None.

    """

    workspace: Workspace
    expression: str
    value: Any
    model_name: str
    script: str | None
    script_name: str
    source_directory: Path | None
    form: ServingFormat | None = None
    sample: str | None = None
    _folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="mljupyter-script-"), repr=False, compare=False
    )

    @cached_property
    def reference(self) -> ModelReference:
        """The reference to its future model."""
        return planned_model(self.workspace, self.value, self.model_name, form=self.form)

    def planned_config(self, environment: Environment | None) -> InferenceConfig:
        """Return the inference config of the generated script, which is not stored yet."""
        assert self.script is not None  # noqa: S101 - asked for only where one was written
        path = lay_out_source(
            self.workspace.artifacts, self.script, self.source_directory, Path(self._folder.name).resolve()
        )
        if self.source_directory is None:
            return InferenceConfig(entry_script=str(path), environment=environment)
        return InferenceConfig(entry_script=path.name, source_directory=str(path.parent), environment=environment)

    def register(self) -> Model:
        """Register it; equal content keeps its version."""
        return register_estimator(self.workspace, self.value, self.model_name, form=self.form)

    def kept_config(self, environment: Environment | None) -> InferenceConfig:
        """Store the generated script, and return its inference config."""
        assert self.script is not None  # noqa: S101 - as above
        kept = KeptScripts(Path(self.workspace.directory)).save(self.script_name, self.script, self.source_directory)
        return inference_config(self.workspace.artifacts, kept, environment)

    def code(self) -> list[str]:
        """Return the Python code that registers it and writes the generated script, if there is one."""
        sample = f", sample={written(self.sample)}" if self.sample is not None else ""
        lines = [f"model = register_estimator(ws, {written(self.expression)}, {self.model_name!r}{sample})"]
        if self.script is None:
            return lines
        text = _quoted_lines(self.script)
        folder = f"{self.script_name}-serving"
        lines += [f"script = Path({folder!r}, 'score.py')", "script.parent.mkdir(exist_ok=True)"]
        return [*lines, f"script.write_text('''{text}''')"]


def _quoted_lines(text: str) -> str:
    """Return text for a triple-quoted string, with escapes where needed."""
    ends = len(text) - len(text.rstrip("'"))
    text = text.replace("\\", "\\\\").replace("'''", "\\'\\'\\'")
    text = re.sub("[\r\0\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
    return text[:-1] + "\\'" if ends % 3 else text  # three quotes are already escapes


def planned_estimator(
    workspace: Workspace, values: Mapping[str, Any], namespace: Mapping[str, Any]
) -> PlannedEstimator | None:
    """Return the estimator in the options of a deployment, with its script; None if there is none.

    Raises:
        WrongInputError: options exclude each other, or a name is unknown.
        EstimatorError: it cannot be deployed; the message has the reason.

    """
    expression = values["estimator"]
    _check_options(values)
    if expression is None:
        return None
    value = value_of(expression, namespace)
    source = source_directory(values["source_directory"])
    method = values["method"] or "predict"
    sample = None if values["sample"] is None else value_of(values["sample"], namespace)
    form = check_estimator(value, expression, method=method, source_directory=source, sample=sample)
    extra = values["extra_columns"] or EXTRA_COLUMNS[0]
    written = values["score"] is None
    script_name = values["name"] if values["version"] is None else f"{values['name']}-{values['version']}"
    return PlannedEstimator(
        workspace,
        expression,
        value,
        model_name=values["model"][0] if values["model"] else values["name"],
        script=scoring_script(value, sample, method, expression, extra, form) if written else None,
        script_name=_free_name(workspace, script_name),
        source_directory=source,
        form=form,
        sample=values["sample"] if form.needs_sample else None,
    )


def _check_options(values: Mapping[str, Any]) -> None:
    given = {
        key: values[key] for key in ("sample", "method", "extra_columns", "source_directory") if values[key] is not None
    }
    if values["estimator"] is None and given:
        raise WrongInputError(
            f"--{next(iter(given)).replace('_', '-')} is for an estimator: %deploy {values['name']} ESTIMATOR ..."
        )
    if values["estimator"] is None:
        return
    if values["score"] is not None and given:
        raise WrongInputError(
            f"--score and --{next(iter(given)).replace('_', '-')} cannot be combined: with a scoring script of your "
            "own, none is written."
        )
    if len(values["model"]) > 1 or any(":" in name for name in values["model"]):
        raise WrongInputError("With ESTIMATOR, --model is the name it is registered under, once and without a version.")


def _free_name(workspace: Workspace, name: str) -> str:
    """Return a name for the generated script that does not overwrite a script of the user."""
    scripts = KeptScripts(Path(workspace.directory))
    if name in scripts.names() and not scripts.load(name).path.read_text(encoding="utf-8").startswith(GENERATED):
        return f"{name}-generated"
    return name
