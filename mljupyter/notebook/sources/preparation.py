"""Sources of a deployment: the inference config and, for an estimator, its model; also as Python code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mljupyter.build.environments.requirements import missing_packages
from mljupyter.core import Environment, InferenceConfig, Model
from mljupyter.core.estimator import environment_for, pinned_packages
from mljupyter.deploy.estimator.frameworks import format_of
from mljupyter.notebook.options.deployment_options import CURRENT
from mljupyter.notebook.options.option_values import WrongInputError
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.environments import environment_named
from mljupyter.notebook.sources.estimator import PlannedEstimator
from mljupyter.notebook.sources.expressions import written
from mljupyter.notebook.sources.inference import scoring_config
from mljupyter.notebook.sources.variables import variables_code, variables_of
from mljupyter.visible import one_line


@dataclass(frozen=True)
class Preparation:
    """The sources of a deployment: scoring script, environment, and the estimator, if there is one.

    Parameters:
        config: the inference config; None for a model that is served without a script.
        code: the Python code that creates it, as the variable ``inference_config``.
        estimator: the estimator to register, if there is one.
        environment: that of the estimator's generated script.

    """

    config: InferenceConfig | None
    code: tuple[str, ...]
    estimator: PlannedEstimator | None = None
    environment: Environment | None = None

    def register(self) -> tuple[list[Model], InferenceConfig | None]:
        """Register the estimator, store its script, and return models and inference config."""
        if self.estimator is None:
            return [], self.config
        model = self.estimator.register()
        config = self.config if self.estimator.script is None else self.estimator.kept_config(self.environment)
        return [model], config


def preparation_of(
    session: Session, namespace: Mapping[str, Any], values: Mapping[str, Any], estimator: PlannedEstimator | None
) -> Preparation:
    """Return the sources for the options of a deployment.

    Raises:
        WrongInputError: there is nothing to deploy, or a name does not exist.

    """
    text = values["score"]
    environment, code = _with_variables(session, values, *_environment(session, values, estimator))
    if estimator is not None and estimator.script is not None:
        lines = [*estimator.code(), *code, f"inference_config = InferenceConfig({_arguments('str(script)', code)})"]
        if estimator.source_directory is not None:
            lines = _with_directory(estimator, code)
        return Preparation(estimator.planned_config(environment), tuple(lines), estimator, environment)
    register = estimator.code() if estimator is not None else []
    if text is None:
        if not values["model"]:
            raise WrongInputError(
                "Nothing to deploy is named: a fitted estimator (%deploy NAME ESTIMATOR), or --model MODEL "
                "--score SCRIPT. See %deploy --help."
            )
        if environment is not None:
            given = next(name for name in ("environment", "env", "env_from") if values[name]).replace("_", "-")
            raise WrongInputError(f"--{given} goes with a scoring script: name it with --score.")
        return Preparation(None, ("inference_config = None  # served by what its framework says",))
    config = scoring_config(session, text, namespace, environment)
    if text.isidentifier() and namespace.get(text) is config:
        lines = [] if text == "inference_config" else [f"inference_config = {text}  # the variable"]
    else:
        lines = [
            *code,
            f"inference_config = InferenceConfig({_config_arguments(config, code)})  # --score {one_line(text)}",
        ]
    return Preparation(config, (*register, *lines), estimator)


def _environment(
    session: Session, values: Mapping[str, Any], estimator: PlannedEstimator | None
) -> tuple[Environment | None, list[str]]:
    if values["environment"] is not None:
        found, code = environment_named(session.workspace(), values["environment"], values["name"])
        lines = [f"environment = {code}"]
        if values["pins"] is not None:
            found.python.pins = values["pins"]
            lines.append(f"environment.python.pins = {values['pins']!r}")
        if estimator is not None and estimator.script is not None:
            lines += _with_needed_packages(found, estimator)
        return found, lines
    if values["pins"] is not None:
        raise WrongInputError("--pins is about the packages of an environment: name it with --environment.")
    if (
        estimator is None
        or estimator.script is None
        or not session.workspace().context.serving_target(values["to"]).runs_images
    ):
        return None, []

    # A container does not have the notebook's packages, so the estimator's own packages are named.
    name, frame = f"{values['name']}-environment", "FrameRows" in estimator.script
    code = f"environment = environment_for({written(estimator.expression)}, {name!r}, frame={frame})"
    return environment_for(estimator.value, name, frame=frame, form=estimator.form), [code]


def _with_needed_packages(environment: Environment, estimator: PlannedEstimator) -> list[str]:
    """Add the packages that a generated script needs and the environment does not list; return the Python code for it.

    Each one is printed. The packages of the estimator's classes get the version that is installed here, since a model
    can be read only by a version like the one that wrote it.
    """
    script = estimator.script or ""
    form = estimator.form or format_of(estimator.value, sample=(), name=estimator.model_name)
    pinned = pinned_packages(form, estimator.value, frame="FrameRows" in script)
    missing = missing_packages(environment.definition(), pinned)
    conda = environment.python.conda_dependencies
    if not missing or conda is None:
        return []
    for requirement in missing:
        conda.add_pip_package(requirement)
    print(f"Added to the environment, since the generated script needs them: {', '.join(missing)}")
    return [f"environment.python.conda_dependencies.add_pip_package({one!r})" for one in missing]


def _with_variables(
    session: Session, values: Mapping[str, Any], environment: Environment | None, code: list[str]
) -> tuple[Environment | None, list[str]]:
    """Add the requested variables to the environment; by default it is that of the notebook."""
    variables = variables_of(values)
    if not variables:
        return environment, code
    if environment is None:
        environment, made = environment_named(session.workspace(), CURRENT, values["name"])
        code = [f"environment = {made}"]
    environment.environment_variables = {**environment.environment_variables, **variables}
    return environment, [*code, *variables_code(values)]


def _arguments(script: str, environment: list[str]) -> str:
    return ", ".join([script, *(["environment=environment"] if environment else [])])


def _config_arguments(config: InferenceConfig, environment: list[str]) -> str:
    arguments = [f"entry_script={config.entry_script!r}"]
    if config.source_directory:
        arguments.append(f"source_directory={config.source_directory!r}")
    return ", ".join([*arguments, *(["environment=environment"] if environment else [])])


def _with_directory(estimator: PlannedEstimator, environment: list[str]) -> list[str]:
    """Return Python code that writes the script beside the files of its source directory."""
    lines = estimator.code()
    name = estimator.source_directory.name if estimator.source_directory is not None else ""
    copy = f"shutil.copytree({str(estimator.source_directory)!r}, folder, ignore=shutil.ignore_patterns('*-serving'))"
    config = _arguments("script.name, source_directory=str(folder)", environment)
    return [
        lines[0],
        f"folder = Path({estimator.script_name + '-serving'!r}, {name!r})",
        f"folder.exists() or {copy}",
        "script = folder / 'score.py'",
        lines[-1],
        *environment,
        f"inference_config = InferenceConfig({config})",
    ]
