"""`azureml.core` for scoring scripts. Classes that need a workspace can be imported, and raise an error when used."""

from __future__ import annotations

from typing import Any

from mljupyter.scoring.shims.model import Model
from mljupyter.scoring.shims.unavailable import placeholder

__all__ = ["VERSION", "Model"]

VERSION = __version__ = "1.61.0"
_UNAVAILABLE = frozenset(
    (
        *("Workspace", "Experiment", "RunConfiguration", "Environment", "ScriptRunConfig", "Run", "Datastore"),
        *("Keyvault", "ComputeTarget", "ContainerRegistry", "Image", "Webservice", "Dataset"),
    )
)


def __getattr__(name: str) -> Any:
    if name in _UNAVAILABLE:
        return globals().setdefault(name, placeholder(f"azureml.core.{name}"))
    raise AttributeError(f"azureml.core has no {name!r} inside a replica without the package azureml-core")
