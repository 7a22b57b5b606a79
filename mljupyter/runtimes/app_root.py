"""Lay out what a replica finds on disk: its app root, as the scoring container's contract has it.

The source directory stands under its own name, models under ``azureml-models/<name>/<version>/`` (Azure ML v1:
inference configuration; scoring container).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Protocol

from mljupyter.spec import VersionSpec

MODELS = "azureml-models"


class Store(Protocol):
    """Where content comes from."""

    def fetch(self, digest: str, target: Path) -> Path:
        """Place content at a path."""
        ...


def prepare(store: Store, spec: VersionSpec, target: Path) -> Path:
    """Lay out an app root, or return the one that is there. It appears whole or not at all.

    Parameters:
        store: the artifact store.
        spec: the version; its code and models are laid out.
        target: the directory to make.

    """
    if target.is_dir():
        return target
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        code = spec.code
        store.fetch(code.digest, building / (code.source_directory or code.entry_script))
        (building / MODELS).mkdir()
        for model in spec.models:
            place = building / MODELS / model.name / str(model.version)
            place.mkdir(parents=True)
            store.fetch(model.digest, place / model.entry)
        building.rename(target)
    except OSError:
        if not target.is_dir():  # else another one was faster
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def contract_variables(
    spec: VersionSpec, app_root: Path, *, service: str, version: str, workspace: str
) -> dict[str, str]:
    """Return the environment variables a scoring script may read (Azure ML v1: scoring container)."""
    models = app_root / MODELS
    if len(spec.models) == 1:
        models = models / spec.models[0].name / str(spec.models[0].version)
    variables = {
        "AML_APP_ROOT": str(app_root),
        "AZUREML_ENTRY_SCRIPT": spec.code.entry_script,
        "AZUREML_MODEL_DIR": str(models),
        "SERVICE_NAME": service,
        "SERVICE_VERSION": version,
        "WORKSPACE_NAME": workspace,
        "SCORING_TIMEOUT_MS": str(spec.limits.scoring_timeout_ms),
    }
    if spec.code.source_directory:
        variables["AZUREML_SOURCE_DIRECTORY"] = spec.code.source_directory
    return variables
