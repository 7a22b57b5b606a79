"""The SDK, with the names and rules of ``azureml.core``: Workspace, Model, Webservice and what belongs to them.

Each name is imported when it is asked for first, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mljupyter import __version__

if TYPE_CHECKING:
    from mljupyter.core.compute import ComputeTarget
    from mljupyter.core.conda_dependencies import CondaDependencies
    from mljupyter.core.container_registry import ContainerRegistry
    from mljupyter.core.environment import Environment
    from mljupyter.core.image import ContainerImage, Image
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.model import Model
    from mljupyter.core.model_package import ModelPackage
    from mljupyter.core.profile import ModelProfile
    from mljupyter.core.resource_configuration import ResourceConfiguration
    from mljupyter.core.scaling import replicas_needed
    from mljupyter.core.webservice import AciWebservice, AksEndpoint, AksWebservice, LocalWebservice, Webservice
    from mljupyter.core.workspace import Workspace

#: The level of Azure ML's SDK v1 whose names and rules these are. Notebooks compare it; `__version__` is our own.
VERSION = "1.61.0"

_HOME_OF = {
    "AciWebservice": "webservice",
    "AksEndpoint": "webservice",
    "AksWebservice": "webservice",
    "ComputeTarget": "compute",
    "CondaDependencies": "conda_dependencies",
    "ContainerImage": "image",
    "ContainerRegistry": "container_registry",
    "Environment": "environment",
    "Image": "image",
    "InferenceConfig": "inference",
    "LocalWebservice": "webservice",
    "Model": "model",
    "ModelPackage": "model_package",
    "ModelProfile": "profile",
    "ResourceConfiguration": "resource_configuration",
    "Webservice": "webservice",
    "Workspace": "workspace",
    "replicas_needed": "scaling",
}

__all__ = [
    "VERSION",
    "AciWebservice",
    "AksEndpoint",
    "AksWebservice",
    "ComputeTarget",
    "CondaDependencies",
    "ContainerImage",
    "ContainerRegistry",
    "Environment",
    "Image",
    "InferenceConfig",
    "LocalWebservice",
    "Model",
    "ModelPackage",
    "ModelProfile",
    "ResourceConfiguration",
    "Webservice",
    "Workspace",
    "__version__",
    "replicas_needed",
]


def __getattr__(name: str) -> Any:
    """Import the module that a name lives in."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return what there is, imported or not yet."""
    return sorted({*globals(), *__all__})
