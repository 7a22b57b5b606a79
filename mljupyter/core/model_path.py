"""Where a scoring script finds its models (Azure ML v1: Model.get_model_path)."""

from __future__ import annotations

import os
from pathlib import Path

from mljupyter.exceptions import ModelNotFoundException
from mljupyter.outside import whole

APP_ROOT_VARIABLE = "AML_APP_ROOT"
MODELS_FOLDER = "azureml-models"


def find_model_path(model_name: str, version: int | None = None) -> str:
    """Return the path of a model's file or directory.

    In a replica it is the only entry of ``$AML_APP_ROOT/azureml-models/<name>/<version>/``, by default of the highest
    version; elsewhere a file or directory of that name in the current directory.

    Raises:
        ModelNotFoundException: when it is in neither place.

    """
    root = os.environ.get(APP_ROOT_VARIABLE)
    base = Path(root or ".") / MODELS_FOLDER / model_name
    if base.is_dir():
        return str(_only_entry(base / str(_newest(base) if version is None else version)))
    here = Path(model_name)
    if here.exists():
        return str(here)
    looked = f"{base} nor in {Path.cwd()}" if root else f"{Path.cwd()}"
    raise ModelNotFoundException(
        f"ModelNotFound: there is no model {model_name!r} in {looked}.\n"
        "In a notebook, fetch a registered model: Model(ws, name).download()"
    )


def _newest(base: Path) -> int:
    versions = [number for entry in base.iterdir() if (number := whole(entry.name)) is not None]
    if not versions:
        raise ModelNotFoundException(f"ModelNotFound: {base} holds no version of the model.")
    return max(versions)


def _only_entry(directory: Path) -> Path:
    entries = sorted(directory.iterdir()) if directory.is_dir() else []
    if len(entries) != 1:
        found = ", ".join(entry.name for entry in entries) or "nothing"
        raise ModelNotFoundException(f"ModelNotFound: {directory} must hold one file or directory; it holds {found}.")
    return entries[0]
