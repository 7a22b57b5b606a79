"""The SDK: workspaces, models, environments, images and web services.

Each name is imported when it is used for the first time, so that importing the package takes no time. The modules in
this package use each other's classes through it, as ``core.Model``: they import one way.

Azure: azureml.core; names and rules are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mljupyter import __version__
from mljupyter.lazy import lazy_names

if TYPE_CHECKING:
    from mljupyter.core import deployment as deployment
    from mljupyter.core import package_sources as package_sources
    from mljupyter.core.compute import ComputeTarget
    from mljupyter.core.conda_dependencies import CondaDependencies
    from mljupyter.core.container_registry import ContainerRegistry
    from mljupyter.core.dataset import Dataset
    from mljupyter.core.datastore import Datastore
    from mljupyter.core.environment import Environment
    from mljupyter.core.experiment import Experiment
    from mljupyter.core.image import ContainerImage, Image, ImageConfig
    from mljupyter.core.inference import InferenceConfig
    from mljupyter.core.keyvault import Keyvault
    from mljupyter.core.model import Model
    from mljupyter.core.model_package import ModelPackage
    from mljupyter.core.profile import ModelProfile
    from mljupyter.core.resource_configuration import ResourceConfiguration
    from mljupyter.core.run import Run
    from mljupyter.core.runconfig import RunConfiguration
    from mljupyter.core.scaling import replicas_needed
    from mljupyter.core.script_run import ScriptRun
    from mljupyter.core.script_run_config import ScriptRunConfig
    from mljupyter.core.webservice import (
        AciWebservice,
        AksEndpoint,
        AksWebservice,
        LocalWebservice,
        Webservice,
        WebserviceDeploymentConfiguration,
    )
    from mljupyter.core.workspace import Workspace

#: The version of azureml.core whose names and rules are used. Notebooks compare it; `__version__` is that of mljupyter.
VERSION = "1.61.0"

_HOME_OF = {
    "AciWebservice": "webservice",
    "AksEndpoint": "webservice",
    "AksWebservice": "webservice",
    "ComputeTarget": "compute",
    "CondaDependencies": "conda_dependencies",
    "ContainerImage": "image",
    "ContainerRegistry": "container_registry",
    "Dataset": "dataset",
    "Datastore": "datastore",
    "Environment": "environment",
    "Experiment": "experiment",
    "Image": "image",
    "ImageConfig": "image",
    "InferenceConfig": "inference",
    "Keyvault": "keyvault",
    "LocalWebservice": "webservice",
    "Model": "model",
    "ModelPackage": "model_package",
    "ModelProfile": "profile",
    "ResourceConfiguration": "resource_configuration",
    "Run": "run",
    "RunConfiguration": "runconfig",
    "ScriptRun": "script_run",
    "ScriptRunConfig": "script_run_config",
    "Webservice": "webservice",
    "WebserviceDeploymentConfiguration": "webservice",
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
    "Dataset",
    "Datastore",
    "Environment",
    "Experiment",
    "Image",
    "ImageConfig",
    "InferenceConfig",
    "Keyvault",
    "LocalWebservice",
    "Model",
    "ModelPackage",
    "ModelProfile",
    "ResourceConfiguration",
    "Run",
    "RunConfiguration",
    "ScriptRun",
    "ScriptRunConfig",
    "Webservice",
    "WebserviceDeploymentConfiguration",
    "Workspace",
    "__version__",
    "replicas_needed",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME_OF, modules=("deployment", "package_sources"))
