"""Creation of a deployment from option values, for `%deploy` and the wizard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mljupyter.core.deployment import target_of
from mljupyter.deploy.plan import find
from mljupyter.notebook.options.cell_body import SPECIFICATION
from mljupyter.notebook.options.kept_options import completed, said_of
from mljupyter.notebook.plan import Deployment, settings_of
from mljupyter.notebook.session import Session
from mljupyter.notebook.sources.estimator import planned_estimator
from mljupyter.notebook.sources.inference import registered_models
from mljupyter.notebook.sources.preparation import preparation_of
from mljupyter.notebook.specification import specification_of
from mljupyter.notebook.version_plan import VersionDeployment, check_version_options


def deployment_of(session: Session, namespace: Mapping[str, Any], values: Mapping[str, Any]) -> Deployment:
    """Return the deployment for option values.

    Kind, compute target, environment and method of an existing endpoint stay, unless they are among the options that
    `values` lists under ``told``.

    Parameters:
        session: has the current workspace and its stored scoring scripts.
        namespace: the user's variables.
        values: by option of `DEPLOYMENT_OPTIONS`; a specification from a cell under ``specification``.

    Raises:
        WrongInputError: options exclude each other, or name something that does not exist.

    """
    if values.get(SPECIFICATION) is not None:
        return specification_of(session, namespace, values, values[SPECIFICATION])
    workspace = session.workspace()
    present = find(workspace.context, values["name"])
    if present is not None:
        values = completed(values, present.spec)
    settings = settings_of(values)
    check_version_options(values)
    estimator = planned_estimator(workspace, values, namespace)
    models = [] if estimator is not None else registered_models(workspace, values["model"], namespace)
    preparation = preparation_of(session, namespace, values, estimator)
    name, kind, target = values["name"], values["kind"], target_of(workspace, values["to"]).name
    described = (workspace, name, models, preparation)
    if values["version"] is None:
        return Deployment(*described, kind, settings, target, said=said_of(values))
    if values["traffic"] is not None:
        settings["traffic_percentile"] = values["traffic"]
    return VersionDeployment(*described, "endpoint", settings, target, said=said_of(values), version=values["version"])
