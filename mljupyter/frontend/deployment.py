"""From the values of a deployment's options to the deployment they describe: for `%deploy` and for the wizard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mljupyter.frontend.plan import Deployment
    from mljupyter.frontend.session import Session


def deployment_of(session: Session, namespace: Mapping[str, Any], values: Mapping[str, Any]) -> Deployment:
    """Return the deployment that values describe.

    Parameters:
        session: knows the workspace in use and the scoring scripts kept there.
        namespace: the user's variables.
        values: by option of `DEPLOYMENT_OPTIONS`.

    Raises:
        WrongInputError: options do not go together, or name something that is not there.

    """
    from mljupyter.frontend.inference import registered_models, scoring_config
    from mljupyter.frontend.plan import Deployment, settings_of
    from mljupyter.frontend.version_plan import VersionDeployment, check_version_options

    settings = settings_of(values)
    check_version_options(values)
    workspace = session.workspace()
    models = registered_models(workspace, values["model"], namespace)
    config = scoring_config(session, values["score"], namespace)
    name, kind, target = values["name"], values["kind"], values["to"]
    if values["version"] is None:
        return Deployment(workspace, name, models, config, kind, settings, target)
    if values["traffic"] is not None:
        settings["traffic_percentile"] = values["traffic"]
    return VersionDeployment(workspace, name, models, config, "endpoint", settings, target, version=values["version"])
