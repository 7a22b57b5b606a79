"""Preview of the generated files of a deployment: scoring script and Dockerfile."""

from __future__ import annotations

from mljupyter.build.images import dockerfile, plan_image
from mljupyter.core import InferenceConfig
from mljupyter.deploy.content import VersionContent
from mljupyter.deploy.images.build_job import default_base_image
from mljupyter.notebook.sources.estimator import PlannedEstimator
from mljupyter.spec import VersionSpec


def generated_files(
    estimator: PlannedEstimator | None, config: InferenceConfig | None, version: VersionSpec | VersionContent, name: str
) -> dict[str, str]:
    """Return the texts by file name.

    Parameters:
        estimator: the estimator, if one is deployed.
        config: the inference config.
        version: the planned version; it has an image if it runs in containers.
        name: the endpoint's name.

    """
    files = {}
    if estimator is not None and estimator.script is not None:
        files["score.py"] = estimator.script
    environment = config.environment_for(name) if config is not None else None
    if version.image is not None and environment is not None:
        plan = plan_image(
            environment.definition(), code=version.code, models=version.models, default_base_image=default_base_image()
        )
        if plan.own_image is None:
            files["Dockerfile"] = dockerfile(plan)
    return files
